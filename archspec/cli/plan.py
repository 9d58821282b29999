"""archspec plan"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from archspec.cli.common import failure, open_network, print_json, spec_argument

if TYPE_CHECKING:
    from archspec.train.machine import Throughput
    from archspec.train.settings import Run


@click.command("plan")
@spec_argument
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="In place of the spec's data.batch_size.")
@click.option("--memory", metavar="SIZE", help="What there is, as 16GB or 512MiB; otherwise what this machine has.")
@click.option("--flops", metavar="RATE", help="Operations a second, as 10T; otherwise what was measured here.")
@click.option("--measure", is_flag=True, help="Measure this machine for the spec's backend and precision, and keep it.")
@click.option("--remat", is_flag=True, help="Choose blocks to compute again in the backward pass, until it fits.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    spec: str, changes: tuple[str, ...], batch_size: int | None, memory: str | None, flops: str | None, measure: bool,
    remat: bool, as_json: bool, limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Estimate the memory and time of a training before it starts.

    Parameters, gradients, the optimizer's state, the tensors of a step and the largest batch that fits follow from the
    spec; nothing is built. The time is that of the products and convolutions alone, at a rate that is given or was
    measured on this machine.

    \b
        archspec plan resnet.yaml@resnet50
        archspec plan resnet.yaml data.batch_size=256 --memory 16GB --remat
        archspec plan unet.yaml --flops 10T --json
        archspec plan unet.yaml --measure
    """
    from archspec.train.machine import expected_backend, memory_bytes, read_bytes, read_flops
    from archspec.train.plan import estimate
    from archspec.train.plan_text import plan_json, plan_text
    from archspec.train.sections import sections

    if flops and measure:
        raise click.UsageError("--flops says what --measure would find out: give one of them")
    network = open_network(spec, changes, limits, allow)
    run = sections(network.document).run
    try:
        room = read_bytes(memory) if memory else memory_bytes(run.devices, expected_backend(run.backend))
        speed = read_flops(flops) if flops else _speed(run, measure)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    found = estimate(network.document, network.graph, batch_size, room, remat)
    if remat and not found.blocks:
        why = "it fits as it is" if found.training_bytes <= room else "no block of it would take less"
        click.echo(f"nothing is rematerialised: {why}", err=True)
    if as_json:
        print_json(plan_json(found, room, speed))
    else:
        click.echo(plan_text(found, room, speed))


def _speed(run: Run, measure: bool) -> Throughput | None:
    from archspec.train.machine import expected_backend, known_throughput, remember

    if not measure:
        return known_throughput(expected_backend(run.backend), run.precision)
    from archspec.train import probe

    try:
        backend, speed = probe.measure(run.backend, run.precision)
    except RuntimeError as error:
        raise failure(str(error)) from None
    rates = f"{speed.convolution / 1e9:,.0f} and {speed.product / 1e9:,.0f}"
    try:
        kept = f"kept in {remember(backend, run.precision, speed)}"
    except OSError as error:
        kept = f"which cannot be kept: {error}"
    click.echo(f"{rates} billion operations a second in convolutions and products, {kept}", err=True)
    return speed
