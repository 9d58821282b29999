"""A plan in words and as plain data, and the warning before a training that will not fit."""

from __future__ import annotations

from typing import Any

from archspec.analysis.table import table_text
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.train.machine import Throughput, memory_bytes
from archspec.train.plan import Estimate, estimate
from archspec.train.sections import sections

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def plan_text(found: Estimate, memory: int, speed: Throughput | None) -> str:
    """The estimate as a table with what follows from it."""
    rows = [
        ("weights", bytes_text(found.weight_bytes), f"{found.parameters:,} parameters, {found.trainable:,} trained"),
        ("optimizer", bytes_text(found.state_bytes), ", ".join(found.optimizers)),
        ("gradients of weights", bytes_text(found.gradient_bytes), "when all are there"),
        ("tensors of the batch", bytes_text(found.activation_bytes), "at most at once, with their gradients"),
        ("program", bytes_text(found.program_bytes), "of the framework, roughly"),
        ("training step", bytes_text(found.training_bytes), "at most at once"),
        ("inference", bytes_text(found.inference_bytes), "at most at once, of this batch"),
    ]
    if found.orders.best != found.orders.keras:
        rows.append(("in the best order", bytes_text(found.best_inference_bytes), "of layers, at most at once"))
    lines = [
        f"{found.name}, batches of {found.batch_size:,}, {found.precision}, {found.backend}",
        "",
        table_text(("", "", "Memory"), [(name, what, size) for name, size, what in rows], numbers=1),
        "",
        _fits(found, memory),
    ]
    lines += [_remat(found)] if found.blocks else []
    lines.append(_order(found))
    alone = " for the products alone" if speed and not speed.call else ""
    time = f"{seconds_text(found.seconds(speed))}{alone}" if speed else "say --flops, or --measure once"
    lines.append(f"time for each step: {time}")
    lines += ["unknown lengths count as one"] if found.unknown_lengths else []
    return "\n".join(lines)


def plan_json(found: Estimate, memory: int, speed: Throughput | None) -> dict[str, Any]:
    """Plain data for `--json`; `largest_batch` is null where any batch fits."""
    return {
        "name": found.name,
        "backend": found.backend,
        "batch_size": found.batch_size,
        "precision": found.precision,
        "optimizers": list(found.optimizers),
        "parameters": {"total": found.parameters, "trainable": found.trainable},
        "weight_bytes": found.weight_bytes,
        "gradient_bytes": found.gradient_bytes,
        "optimizer_bytes": found.state_bytes,
        "program_bytes": found.program_bytes,
        "activation_bytes": found.activation_bytes,
        "training_bytes": found.training_bytes,
        "inference_bytes": found.inference_bytes,
        "inference": {
            "best_order_bytes": found.best_inference_bytes,
            "example_bytes": found.orders.keras.peak_bytes,
            "best_order_example_bytes": found.orders.best.peak_bytes,
            "exact": found.orders.best.exact,
            "best_order": list(found.orders.best.names),
        },
        "memory_bytes": memory,
        "fits": found.training_bytes <= memory,
        "largest_batch": found.largest_batch(memory),
        "forward_macs": found.convolution_macs + found.product_macs,
        "remat": list(found.blocks),
        "remat_macs": found.again_convolution_macs + found.again_product_macs,
        "seconds": found.seconds(speed) if speed else None,
        "unknown_lengths": found.unknown_lengths,
    }


def memory_warning(document: Document, graph: Graph) -> str | None:
    """One line where the training is estimated to take more memory than there is."""
    found = estimate(document, graph)
    memory = memory_bytes(sections(document).run.devices, found.backend)
    if found.training_bytes <= memory:
        return None
    most = found.largest_batch(memory)
    blocks = ", or run.remat=auto" if any(node.scope for node in graph.nodes.values()) else ""
    help = f"data.batch_size={most} would fit{blocks}" if most else "archspec plan shows what takes it"
    return (
        f"warning: batches of {found.batch_size:,} are estimated to take {bytes_text(found.training_bytes)} and there"
        f" are {bytes_text(memory)}: {help}"
    )


def _fits(found: Estimate, memory: int) -> str:
    most = found.largest_batch(memory)
    if most is None:
        return f"any batch fits into {bytes_text(memory)}"
    if not most:
        return f"no batch fits into {bytes_text(memory)}"
    fits = "fits" if found.training_bytes <= memory else "does not fit"
    return f"{fits} into {bytes_text(memory)}; the largest batch that does is {most:,}"


def _remat(found: Estimate) -> str:
    forward = found.convolution_macs + found.product_macs
    again = found.again_convolution_macs + found.again_product_macs
    share = f"{again / (3 * forward):.0%} more MACs" if forward else "no more MACs"
    return f"rematerialised, for {share}: run: {{remat: [{', '.join(found.blocks)}]}}"


def _order(found: Estimate) -> str:
    keras, best = found.orders.keras, found.orders.best
    start = f"tensors of one example in inference: {bytes_text(keras.peak_bytes)} in Keras's order of layers"
    if best == keras:
        return f"{start}, and {'none takes' if best.exact else 'none was found that takes'} less"
    less = f"{1 - best.peak_bytes / keras.peak_bytes:.0%} less"
    return f"{start}, {bytes_text(best.peak_bytes)} in the best{'' if best.exact else ' found'}, {less}"


def bytes_text(size: int) -> str:
    """`1.5 GiB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:,.{0 if unit == 0 else 1}f} {_UNITS[unit]}"


def seconds_text(seconds: float) -> str:
    """Three digits with the unit that suits."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
