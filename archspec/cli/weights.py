"""archspec weights"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import failure, open_for_file, print_json, spec_argument, written


@click.group("weights")
def command() -> None:
    """Fill a network with weights from a file.

    \b
        archspec weights import resnet50.weights.h5 resnet.yaml@keras_resnet50
    """


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@spec_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: NAME.keras"
)
@click.option("--mapping", metavar="NAME", help="Which of the ready mappings; else the one that fits is found.")
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Say what went where as JSON.")
def import_(
    file: Path, spec: str, changes: tuple[str, ...], output: Path | None, mapping: str | None, force: bool,
    as_json: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Build a network, fill it with a file's weights, and save it as a .keras file.

    \b
        archspec weights import resnet50.weights.h5 resnet.yaml@keras_resnet50
        archspec weights import model.safetensors bert.yaml@base -o bert.keras

    FILE is an .h5, .keras, .npz or .safetensors file, as keras.applications and Hugging Face offer them; how its names
    map to the network's is found from them. Where something does not fit, what does not is listed and nothing saved.
    """
    network, path = open_for_file(spec, changes, limits, allow, output, force)
    from archspec.diagnostics import did_you_mean
    from archspec.train.environment import choose_backend
    from archspec.train.sections import sections
    from archspec.weights import UnreadableError, WeightsError, find_mapping, load, mappings, read

    if mapping and mapping not in mappings():
        hint = did_you_mean(mapping, mappings()) or f"the mappings are {', '.join(mappings())}"
        raise click.UsageError(f"there is no mapping {mapping!r}: {hint}")
    try:
        arrays = read(file)
        choose_backend(sections(network.document).run.backend)
        model = network.build()
        name = mapping or find_mapping(model, arrays)
        report = load(model, arrays, mappings()[name])
    except WeightsError as error:
        error.mapping = error.mapping or mapping
        raise failure(f"{file}: {error}") from None
    except (UnreadableError, RuntimeError) as error:
        raise failure(str(error)) from None
    with written(path) as draft:
        model.save(draft)
    if as_json:
        pairs = {match.weight: match.array for match in report.matches}
        print_json({"output": str(path), "mapping": name, "parameters": report.parameters, "weights": pairs})
    click.echo(f"{path}: {report}, by the mapping {name}", err=True)
