"""A reference such as `resnet.yaml@resnet18` with overrides → a Document: files read, extended, and overridden."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archspec.diagnostics import Diagnostic, SpecError, did_you_mean, in_order
from archspec.language.changes import Change, apply_variant, check_param, override
from archspec.language.document import MODIFIERS, VERBS, Block, Document, Param, SpecFile, Step
from archspec.language.limits import Limits
from archspec.language.source import Format, Mark, Source, parse, read
from archspec.language.steps import parse_steps
from archspec.language.validation import diagnose
from archspec.layers import REFUSED, find_layer


def load(
    reference: str | Path,
    changes: Sequence[Change] = (),
    limits: Limits = Limits(),
    allow: Sequence[Path] = (),
) -> Document:
    """The document that a reference names: a file's path, with `@variant` behind it if one is meant.

    `changes` override values by their path. `use` and `extends` reach files below the spec's own folder and those in
    `allow` only. Raises SpecError with all that is wrong.
    """
    path, variant = split_reference(str(reference))
    loader = _Loader(limits, (Path(path).resolve().parent, *(p.resolve() for p in allow)))
    with loader:
        return loader.document(Path(path), path, variant, changes, ())


def loads(
    text: str,
    format: Format = "yaml",
    variant: str | None = None,
    changes: Sequence[Change] = (),
    limits: Limits = Limits(),
    folder: Path | None = None,
) -> Document:
    """The document that a text holds. `use` and `extends` need a `folder` to look in. Raises SpecError."""
    loader = _Loader(limits, (folder.resolve(),) if folder else ())
    with loader:
        source = parse(text, "<text>", format, limits)
        return loader.finish(source, folder, variant, changes, ())


def split_reference(reference: str) -> tuple[str, str | None]:
    path, at, variant = reference.rpartition("@")
    if not at or "/" in variant or "." in variant:
        return reference, None
    return path, variant


class _Loader:
    """Reads the files of one spec; keeps their texts, so that any error can show its line."""

    def __init__(self, limits: Limits, roots: tuple[Path, ...]) -> None:
        self.limits, self.roots = limits, roots
        self.texts: dict[str, str] = {}
        self.documents: dict[tuple[Path, str | None], Document] = {}

    def __enter__(self) -> _Loader:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SpecError):
            error.texts = {**self.texts, **error.texts}

    def document(
        self, path: Path, shown: str, variant: str | None, changes: Sequence[Change], chain: tuple[Path, ...]
    ) -> Document:
        return self.finish(self.source(path, shown), path.parent, variant, changes, (*chain, path.resolve()))

    def source(self, path: Path, shown: str) -> Source:
        source = read(path, self.limits, shown)
        self.texts[source.file] = source.text
        return source

    def finish(
        self,
        source: Source,
        folder: Path | None,
        variant: str | None,
        changes: Sequence[Change],
        chain: tuple[Path, ...],
    ) -> Document:
        self.texts[source.file] = source.text
        data, mark = self.resolved(source, folder, variant, chain)
        for change in changes:
            self.texts[change.key.file] = change.line
            override(data, mark, change.path, change.value, change.mark, change.key)
        found: list[Diagnostic] = []
        spec = _validated(data, mark, found)
        blocks, steps = _parsed(spec, mark, found)
        uses = {name: self.used(reference, mark.at("use", name), folder, chain) for name, reference in spec.use.items()}
        return Document(
            source.file, folder, variant, spec, data, mark, self.texts, blocks, steps, uses, self.limits,
            tuple(found), bool(changes),
        )  # fmt: skip

    def resolved(
        self, source: Source, folder: Path | None, variant: str | None, chain: tuple[Path, ...]
    ) -> tuple[dict[str, Any], Mark]:
        """The file's data over those of the spec that it extends, with the variant's parameters set."""
        data, mark = source.data, source.mark
        if isinstance(data.get("extends"), str):
            place = mark.at("extends")
            path, shown, base_variant, links = self.locate(data["extends"], place, folder, chain)
            base, base_mark = self.resolved(self.source(path, shown), path.parent, base_variant, links)
            # Claims are about the base alone; and whoever extends one variant has made the choice.
            left_out = ("expect", "variants") if base_variant else ("expect",)
            base = {k: v for k, v in base.items() if k not in left_out}
            _move_use(base, path.parent, folder)
            data, mark = merge(base, base_mark, {k: v for k, v in data.items() if k != "extends"}, mark)
        else:
            data, mark = _copy(data), mark
        if variant is not None:
            apply_variant(data, mark, variant, source)
        return data, mark

    def used(self, reference: str, place: Mark, folder: Path | None, chain: tuple[Path, ...]) -> Document:
        path, shown, variant, links = self.locate(reference, place, folder, chain)
        key = (path.resolve(), variant)
        if key not in self.documents:
            source = self.source(path, shown)
            self.documents[key] = self.finish(source, path.parent, variant, (), links)
        return self.documents[key]

    def locate(
        self, reference: str, place: Mark, folder: Path | None, chain: tuple[Path, ...]
    ) -> tuple[Path, str, str | None, tuple[Path, ...]]:
        """The file that `use` or `extends` names. Raises SpecError where it must not or cannot be read."""
        if folder is None:
            message = "a spec given as text cannot reach other files"
            raise SpecError([Diagnostic("E108", message, place.span, help="say where they lie: folder=…")])
        name, variant = split_reference(reference)
        path = folder / name
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in self.roots):
            help = "allow its folder: --allow FOLDER"
            message = f"{name} lies outside the spec's folder"
            raise SpecError([Diagnostic("E108", message, place.span, help=help)])
        if real in chain:
            links = " → ".join(p.name for p in (*chain[chain.index(real) :], real))
            message = f"specs that use or extend each other in a circle: {links}"
            raise SpecError([Diagnostic("E210", message, place.span)])
        if not path.is_file():
            near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.*"))) if path.parent.is_dir() else None
            raise SpecError([Diagnostic("E101", f"there is no file {path}", place.span, help=near)])
        return path, str(path), variant, (*chain, real)


def _move_use(data: dict[str, Any], written: Path, folder: Path | None) -> None:
    """References in `use` are relative to the file they stand in; makes them so for another folder."""
    use = data.get("use")
    if isinstance(use, dict) and folder is not None and written.resolve() != folder.resolve():
        for name, reference in use.items():
            use[name] = os.path.relpath(written / reference, folder) if isinstance(reference, str) else reference


def _copy(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _copy(v) for k, v in data.items()}
    return [_copy(v) for v in data] if isinstance(data, list) else data


def merge(base: Any, base_mark: Mark, over: Any, over_mark: Mark) -> tuple[Any, Mark]:
    """`over` upon `base`: mappings merge, everything else replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return _copy(over), over_mark
    data = dict(base)
    mark = Mark(over_mark.span, keys={**base_mark.keys, **over_mark.keys}, items=dict(base_mark.items))
    for key, value in over.items():
        inner = over_mark.items[key]
        if key in base:
            data[key], mark.items[key] = merge(base[key], base_mark.items[key], value, inner)
        else:
            data[key], mark.items[key] = _copy(value), inner
    return data, mark


# --- structure -----------------------------------------------------------------------------------


def _validated(data: dict[str, Any], mark: Mark, found: list[Diagnostic]) -> SpecFile:
    """The file's structure. Unknown keys go to `found` and are left out; anything else raises SpecError."""
    try:
        return SpecFile.model_validate(data)
    except ValidationError as error:
        wrong = [_reworded(d) for d in diagnose(error, "a spec", SpecFile, data, mark)]
        extra = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
        if len(extra) < error.error_count():
            raise SpecError(in_order(wrong)) from None
        found += wrong
        for *path, key in extra:
            holder: Any = data
            for part in path:
                holder = holder[part]
            del holder[key]
        return SpecFile.model_validate(data)


def _reworded(d: Diagnostic) -> Diagnostic:
    return replace(
        d, message=d.message.replace("has no argument", "has no key").replace(" of a spec should", " should")
    )


def _parsed(spec: SpecFile, mark: Mark, found: list[Diagnostic]) -> tuple[dict[str, Block], tuple[Step, ...]]:
    """Blocks and steps; what is wrong in them goes to `found`."""
    for name in (*spec.blocks, *spec.use):
        section = "blocks" if name in spec.blocks else "use"
        taken = find_layer(name) or name in (*VERBS, *MODIFIERS, *REFUSED, "x")
        if taken or not name.isidentifier():
            help = "the language has it already" if taken else "names are letters, digits and _"
            found.append(
                Diagnostic("E207", f"{name!r} cannot be the name of a block", mark.key(section, name), help=help)
            )
    blocks = {}
    for name, declared in spec.blocks.items():
        place = mark.at("blocks", name)
        blocks[name] = Block(name, declared, parse_steps(declared.layers, place.at("layers"), found), place)
        found += _default_problems(declared.params, place.at("params"))
    found += _default_problems(spec.params, mark.at("params"))
    steps = parse_steps(spec.layers, mark.at("layers"), found) if spec.layers is not None else ()
    if spec.layers is None and not spec.blocks:
        found.append(Diagnostic("E202", "a spec needs layers", mark.span, help="layers: a list of steps"))
    return blocks, steps


def _default_problems(params: Mapping[str, Param], mark: Mark) -> list[Diagnostic]:
    found = []
    for name, param in params.items():
        if not name.isidentifier() or name == "x":
            found.append(Diagnostic("E207", f"{name!r} cannot be a param's name", mark.key(name)))
        if not param.required and param.default is not None:
            try:
                check_param(param, name, param.default, mark.at(name).span, f"param {name}")
            except SpecError as error:
                found += error.diagnostics
    return found
