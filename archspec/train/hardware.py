"""What a training runs on: one device, several of this machine, or those of several hosts.

On JAX the model's variables and batches are laid out over a mesh of devices and the step is one computation, whatever
their number. On TensorFlow each device has a replica that sees its share of a batch.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any

import keras

from archspec.diagnostics import Diagnostic, SpecError
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.layers.objects import Loss
from archspec.layers.objects import losses as losses_of
from archspec.start import set_seed
from archspec.train.check import check_synchronized
from archspec.train.layout import check_layout, layouts
from archspec.train.sections import Sections
from archspec.train.settings import FormulaLoss, Run

Context = contextlib.AbstractContextManager[Any]
# What optimizers do at some steps only; TensorFlow's replicas cannot meet within a branch.
_WITHIN_BRANCHES = ("gradient_accumulation_steps", "ema_overwrite_frequency")
_MEANS = ("sum_over_batch_size", "mean")


@dataclass(frozen=True)
class Hardware:
    """The devices by Keras's names, none where the choice is left to the framework.

    `hosts` is the number of processes that train together and `host` this one's among them, from 0. `spread` is a
    keras.distribution.Distribution or a tf.distribute.Strategy where there are several devices.
    """

    devices: tuple[str, ...] = ()
    hosts: int = 1
    host: int = 0
    spread: Any = field(default=None, repr=False)

    @property
    def follows(self) -> bool:
        """Whether another host keeps the run."""
        return self.host > 0

    def used(self) -> tuple[str, ...]:
        """The devices by name."""
        return self.devices or tuple(keras.distribution.list_devices()[:1])

    def place(self) -> Context:
        """The context of all that is computed."""
        if not self.devices or self.hosts > 1:
            return contextlib.nullcontext()
        context: Context = keras.device(self.devices[0])
        return context

    def model(self) -> Context:
        """The context in which the model is made, trained and measured."""
        if self.spread is None:
            return contextlib.nullcontext()
        if keras.backend.backend() == "jax":
            from archspec.train.mesh import laid_out

            return laid_out(self.spread)
        from archspec.train.shares import given_out

        return given_out(self.spread)

    def predicting(self, model: keras.Model) -> Context:
        """The context in which a model made in `model` predicts: outside of it."""
        if self.spread is None or keras.backend.backend() == "jax":
            return self.model()
        from archspec.train.shares import alone

        return alone(model)


def hardware(document: Document, graph: Graph, settings: Sections) -> Hardware:
    """The devices that the spec asks for, joined with those of the other hosts. Keras must be loaded.

    Raises SpecError where they are not there or do not fit the training.
    """
    run, backend = settings.run, keras.backend.backend()
    found = check_layout(document, graph, run, settings.data.batch_size, backend) + check_synchronized(graph, backend)
    if found:
        raise SpecError(found, document.texts)
    try:
        hosts, host = _joined(run) if backend == "jax" else (1, 0)
        devices = _devices(settings, hosts)
        if backend == "jax":
            spread = _distribution(run, graph, devices) if len(devices) > 1 else None
            return Hardware(devices, hosts, host, spread)
        if len(devices) > 1:
            _check_shares(settings)
        return Hardware(devices, spread=_strategy(devices))
    except _Unfit as error:
        span = document.mark.at("run", error.key).span
        raise SpecError([Diagnostic("E504", error.message, span, help=error.help)], document.texts) from error


class _Unfit(Exception):
    """What is asked for under a key of `run` cannot be had."""

    def __init__(self, message: str, help: str | None = None, key: str = "devices") -> None:
        super().__init__(message)
        self.message, self.help, self.key = message, help, key


def _joined(run: Run) -> tuple[int, int]:
    """The number of hosts and this one's, after all have found each other. Raises RuntimeError where they do not."""
    if run.hosts is None and "KERAS_DISTRIBUTION_NUM_PROCESSES" not in os.environ:
        return 1, 0
    own = os.environ.get("KERAS_DISTRIBUTION_PROCESS_ID")
    if isinstance(run.hosts, tuple) and run.host is None and own is None:
        help = "run.host=0 on the first host and so on, or KERAS_DISTRIBUTION_PROCESS_ID"
        raise _Unfit("nothing says which of the hosts this one is", help, "hosts")
    import jax

    if not jax.distributed.is_initialized():
        set_seed(run.seed)  # otherwise Keras has the hosts agree on one by computing
        if isinstance(run.hosts, tuple):
            host = run.host if run.host is not None else int(own or 0)
            keras.distribution.initialize(",".join(run.hosts), len(run.hosts), host)
        else:
            keras.distribution.initialize()
    return jax.process_count(), jax.process_index()


def _devices(settings: Sections, hosts: int) -> tuple[str, ...]:
    """The devices to use, none where the framework may choose."""
    run, batch_size = settings.run, settings.data.batch_size
    wanted = run.devices
    seen = _seen(wanted if isinstance(wanted, str) and wanted != "auto" else None)
    if not seen:
        name = str(wanted).upper()
        raise _Unfit(f"no {name} can be seen by {keras.backend.backend()}", "run: {devices: auto}")
    if run.mesh is not None:
        return _grid(run, seen, hosts)
    if hosts > 1:
        return _everywhere(run, seen, hosts, batch_size)
    if isinstance(wanted, int):
        _check_number(wanted, seen)
        return _dividing(wanted, seen, batch_size)
    if wanted != "auto":
        return _dividing(1 if wanted == "cpu" else len(seen), seen, batch_size)
    if seen[0].startswith("cpu"):
        return ()
    several = keras.backend.backend() == "jax" or _whole_batch(settings) is None
    number = max(n for n in range(1, len(seen) + 1) if batch_size % n == 0) if several else 1
    return seen[:number] if number > 1 or seen[0].startswith("tpu") else ()


def _dividing(number: int, seen: tuple[str, ...], batch_size: int) -> tuple[str, ...]:
    """So many of the devices, which share a batch equally."""
    if batch_size % number:
        fitting = -(-batch_size // number) * number
        raise _Unfit(f"batches of {batch_size} cannot be divided among {number} devices",
                     f"data: {{batch_size: {fitting}}}")  # fmt: skip
    return seen[:number]


def _grid(run: Run, seen: tuple[str, ...], hosts: int) -> tuple[str, ...]:
    """The devices of a mesh."""
    number = run.device_count
    assert number is not None
    if isinstance(run.devices, int) and run.devices != number:
        raise _Unfit(f"a mesh of {number} devices, and {run.devices} are asked for", key="mesh")
    if number > len(seen) or (hosts > 1 and number != len(seen)):
        where = f"the {hosts} hosts have" if hosts > 1 else f"{keras.backend.backend()} sees"
        raise _Unfit(f"the mesh has {number} devices, {where} {len(seen)}", key="mesh")
    return seen[:number]


def _everywhere(run: Run, seen: tuple[str, ...], hosts: int, batch_size: int) -> tuple[str, ...]:
    """All devices of all hosts: none may be left out of a computation that they do together."""
    if isinstance(run.devices, int) and run.devices != len(seen):
        raise _Unfit(f"{run.devices} devices are asked for, the {hosts} hosts have {len(seen)} and use all of them")
    return _dividing(len(seen), seen, batch_size)


def _check_number(wanted: int, seen: tuple[str, ...]) -> None:
    if wanted > len(seen):
        kind = seen[0].partition(":")[0].upper()
        help = None
        if kind == "CPU":
            help = "to try it on a CPU with JAX, set XLA_FLAGS=--xla_force_host_platform_device_count=" + str(wanted)
        raise _Unfit(f"{wanted} devices are asked for, {keras.backend.backend()} sees {len(seen)} {kind}", help)


def _seen(kind: str | None) -> tuple[str, ...]:
    try:
        return tuple(keras.distribution.list_devices(kind))
    except RuntimeError:  # JAX has no such platform
        return ()


# --- JAX ------------------------------------------------------------------------------------------


def _distribution(run: Run, graph: Graph, devices: tuple[str, ...]) -> Any:
    """How variables and batches lie on the devices. Each host gives its devices their part of a batch by itself."""
    shape = run.mesh or {"batch": len(devices)}
    mesh = keras.distribution.DeviceMesh(tuple(shape.values()), [*shape], [*devices])
    if len(shape) == 1 and not run.layout:
        return keras.distribution.DataParallel(device_mesh=mesh, auto_shard_dataset=False)
    map = keras.distribution.LayoutMap(mesh)
    for path, axes in layouts(graph, run).items():
        map[path] = axes
    return keras.distribution.ModelParallel(layout_map=map, auto_shard_dataset=False)


# --- TensorFlow -----------------------------------------------------------------------------------


def _strategy(devices: tuple[str, ...]) -> Any:
    """What gives the devices their shares; none for a single one, unless TensorFlow cannot use it in another way."""
    import tensorflow as tf

    if devices and devices[0].startswith("tpu"):
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        topology = tf.tpu.experimental.initialize_tpu_system(resolver)
        assignment = tf.tpu.experimental.DeviceAssignment.build(topology, num_replicas=len(devices))
        return tf.distribute.TPUStrategy(resolver, experimental_device_assignment=assignment)
    if len(devices) < 2:
        return None
    # Collectives between virtual CPUs can wait for each other for ever where there are fewer threads than devices.
    reduction = tf.distribute.ReductionToOneDevice() if devices[0].startswith("cpu") else None
    return tf.distribute.MirroredStrategy([f"/{device}" for device in devices], reduction)


def _check_shares(settings: Sections) -> None:
    """On TensorFlow a loss sees one device's share of a batch."""
    what = _whole_batch(settings)
    if what is not None:
        message = f"on TensorFlow's several devices each sees its share of a batch, but {what} is for the whole batch"
        raise _Unfit(message, "run: {backend: jax}, or devices: 1")
    for name in _WITHIN_BRANCHES:
        if getattr(settings.train.optimizer, name, None) is not None:
            message = f"on TensorFlow's several devices Keras's optimizers cannot do with {name}"
            raise _Unfit(message, "run: {backend: jax}, or devices: 1")
    if settings.run.jit is True:
        raise _Unfit("TensorFlow's XLA is for one device", "run: {jit: auto}, or backend: jax", "jit")


def _whole_batch(settings: Sections) -> str | None:
    """What among the losses needs to see the whole batch."""
    if settings.train.phases:
        return "training in phases"
    given = settings.train.loss
    losses = given.values() if isinstance(given, dict) else [given]
    return next((what for loss in losses if (what := _looks_across(loss)) is not None), None)


def _looks_across(loss: Any) -> str | None:
    """What makes a loss another thing than the mean of what its examples cost, if anything does."""
    if isinstance(loss, FormulaLoss):
        return "a formula"
    if isinstance(loss, Loss) and loss.reduction not in _MEANS:
        return f"a loss with reduction: {loss.reduction}"
    if isinstance(loss, losses_of.Circle):
        return "Circle"
    if isinstance(loss, losses_of.Dice | losses_of.Tversky) and (loss.axis is None or 0 in loss.axis):
        return f"{type(loss).__name__} over all axes"
    return None
