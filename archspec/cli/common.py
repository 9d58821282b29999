"""What the commands share: references to specs with changes, limits, and the printing of diagnostics."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from archspec.architecture import Architecture
    from archspec.graph.ir import Graph
    from archspec.language.limits import Limits

_CHANGE = re.compile(r"(outputs|[A-Za-z_]\w*(\.[\w-]+)+)=")


def failure(message: str) -> click.ClickException:
    """An error of the user's that is no diagnostic: printed plainly, exit code 1."""
    return click.ClickException(message)


def spec_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that reads a spec."""
    limit = click.option(
        "--limit", "limits", multiple=True, metavar="NAME=N", help="Raise a limit, e.g. nodes=5000000."
    )
    allow = click.option(
        "--allow", multiple=True, type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
        help="A further folder that `use` and `extends` may read.",
    )  # fmt: skip
    return limit(allow(function))


def spec_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """One spec and changes to it, behind each other: `resnet.yaml@resnet18 params.classes=10`."""
    spec = click.argument("spec", metavar="SPEC[@VARIANT]", shell_complete=complete_spec)
    changes = click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
    return spec(changes(spec_options(function)))


def subject_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """A spec, a run or a saved model, and changes to it, for `archspec.cli.subject.open_subject`."""
    subject = click.argument("subject", metavar="SPEC[@VARIANT]|RUN|MODEL.keras", shell_complete=complete_spec)
    changes = click.argument("changes", nargs=-1, metavar="[PATH=VALUE]...")
    return subject(changes(spec_options(function)))


def complete_spec(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Files and, behind @, a file's variants."""
    path, at, start = incomplete.rpartition("@")
    if at and Path(path).is_file():
        from archspec.language.source import parse

        found = parse(Path(path).read_text("utf-8")).data.get("variants", {})
        return [f"{path}@{v}" for v in found if v.startswith(start)]
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    candidates = [*folder.glob("*.yaml"), *folder.glob("*.json"), *(f"{p}/" for p in folder.glob("*/"))]
    return sorted(str(c) for c in candidates if str(c).startswith(incomplete))


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Run folders: those in ./runs, and those below what is typed; other folders to go on through."""
    from archspec.train.runs import is_run

    folder = Path(incomplete).parent if "/" in incomplete else Path()
    below = [*folder.glob("*/"), *(() if "/" in incomplete else Path("runs").glob("*/"))]
    shown = {str(path) if is_run(path) else f"{path}/" for path in below if not path.name.startswith(".")}
    return sorted(path for path in shown if path.startswith(incomplete))


def note_unfinished(run: Path) -> None:
    """Says so where a run has not ended well, though it has weights that can be used."""
    from archspec.train.runs import read_run

    status = read_run(run).status
    if status != "finished":
        click.echo(f"the run is not finished ({status}): these are its weights so far", err=True)


@contextlib.contextmanager
def run_errors() -> Iterator[None]:
    """A run that failed or cannot be used is told plainly, exit code 1; one that a signal ended, as shells count it."""
    from archspec.train.folder import RunFailed

    try:
        yield
    except RunFailed as error:
        lines = [str(error)]
        lines += [f"help: {error.help}"] if error.help else []
        lines += [f"what there was lies in {error.folder}"] if error.folder else []
        told = failure("\n".join(lines))
        if error.stopped_by is not None:
            told.exit_code = 128 + error.stopped_by  # type: ignore[misc]  # click's own class variable stays
        raise told from None


@contextlib.contextmanager
def export_errors() -> Iterator[None]:
    """What cannot be written or run elsewhere is told plainly, exit code 1."""
    from archspec.export.base import ExportFailed

    try:
        yield
    except ExportFailed as error:
        raise failure(str(error) + (f"\nhelp: {error.help}" if error.help else "")) from None
    except ImportError as error:  # a runtime that is installed, but not whole
        module = error.name or ""
        if not module or module.partition(".")[0] == "archspec":
            raise
        raise failure(f"{module} cannot be loaded: {error}") from None


def load_backend(wanted: str | None) -> None:
    """Loads Keras with that backend; None: with any. Where that cannot be, it is told plainly."""
    from archspec.train.environment import choose_backend

    try:
        choose_backend(wanted)
    except RuntimeError as error:
        raise failure(str(error)) from None


def read_limits(texts: Sequence[str]) -> Limits:
    from archspec.language.limits import Limits

    settings = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            settings[name] = int(number.replace("_", ""))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not NAME=N") from None
    try:
        return Limits().changed(settings)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def open_spec(spec: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path]) -> Architecture:
    """Loads the spec that a command names. Raises SpecError."""
    from archspec.architecture import load

    for change in changes:
        if not _CHANGE.match(change):
            raise click.UsageError(f"{change!r} is no change to the spec; write PATH=VALUE, as in params.classes=10")
    return load(spec, changes=changes, limits=read_limits(limits), allow=allow)


def open_network(spec: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path]) -> Architecture:
    """The same of a command that needs a network, not a library of blocks. Raises SpecError."""
    network = open_spec(spec, changes, limits, allow)
    if network.document.spec.layers is None:
        raise failure(f"{spec} is a library of blocks without layers")
    return network


def open_for_file(
    spec: str, changes: Sequence[str], limits: Sequence[str], allow: Sequence[Path], output: Path | None, force: bool
) -> tuple[Architecture, Path]:
    """A network that is to be built, and the .keras file that it goes into. Raises SpecError."""
    network = open_spec(spec, changes, limits, allow)
    path = output or Path(f"{network.name}.keras")
    if path.suffix != ".keras":
        raise click.UsageError(f"models are saved as .keras files, got {path}")
    check_target(path, force)
    if network.document.spec.layers is None:
        raise failure(f"{spec} is a library of blocks without layers")
    return network, path


def is_saved_model(reference: str) -> bool:
    """Whether a command's argument names a model that Keras saved, and no spec."""
    return Path(reference).suffix.lower() in (".keras", ".h5", ".hdf5")


def open_saved_model(path: str, limits: Sequence[str]) -> Graph:
    """The graph of a model that Keras saved; nothing in the file is run."""
    from archspec.importing import ImportFailed, load_keras

    try:
        return load_keras(path, read_limits(limits))
    except ImportFailed as error:
        raise failure(str(error)) from None


def is_change(text: str) -> bool:
    return bool(_CHANGE.match(text))


class Above0(click.FloatRange):
    """A number above 0: click lets NaN pass, which no error is larger than."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is not a number above 0.", param, ctx)
        return found


def print_json(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def check_target(path: Path, force: bool = True) -> None:
    """Fails where a file cannot be written, or would replace another without `force`: before the work, not after."""
    if path.exists() and not force:
        raise failure(f"{path} is there already; --force replaces it")
    if not path.parent.is_dir():
        raise failure(f"cannot write {path}: there is no folder {path.parent}")


def check_replaced(output: Path | None, force: bool) -> None:
    """Fails where a file that -o names cannot be written, or would replace another without `force`."""
    if output is not None:
        check_target(output, force)
    elif force:
        raise click.UsageError("--force replaces a file: it takes -o")


@contextlib.contextmanager
def written(path: Path) -> Iterator[Path]:
    """A draft that becomes the file once it is complete; what goes wrong on the way is told plainly."""
    from archspec.files import whole

    check_target(path)
    try:
        with whole(path) as draft:
            yield draft
    except OSError as error:
        raise failure(f"cannot write {path}: {error.strerror or error}") from None
