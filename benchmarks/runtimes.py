"""What optimising and choosing a runtime buy together, batch 1, float32, random weights, as ratios of one run.

First every runtime that is installed is measured in short, as `archspec bench` does, with the network as it is and
optimised. Then what that recommends is measured at length, turn and turn about with plain `predict_on_batch` of the
original, and with the original under the same runtime.

    python benchmarks/runtimes.py                                # the networks that have a bound
    python benchmarks/runtimes.py resnet50 --forms --seconds 10
    python benchmarks/runtimes.py --zoo                          # all of specs/index.yaml that are small enough
    python benchmarks/runtimes.py --zoo mobilenet --runtimes predict_on_batch,function,onnx,openvino,litert
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from optimize import NETWORKS, ROOT  # beside this file

from archspec.analysis.cost import graph_cost
from archspec.bench.base import Runtime, chosen, runtimes
from archspec.bench.measure import Measured, measure
from archspec.bench.variants import OPTIMISED, ORIGINAL, described, forms, sources
from archspec.graph.ir import Graph

PLAIN = "predict_on_batch"
AT_MOST = {"resnet50": 0.60, "mobilenet_v2": 0.25, "inception_v3": 0.68, "densenet121": 0.56, "vit_small": 0.50}
SAME_AT_MOST = 0.97  # of the unoptimised network under the same runtime, where a rewrite applies
NEVER_OVER = 1.03
# Of the zoo: multiply-accumulates, parameters and layers up to which a network is measured.
MACS, PARAMETERS, LAYERS = 6e9, 60e6, 1500
SMALL = ("bert", "clip", "gpt2", "t5", "transformer")  # families with a variant named tiny


@dataclass(frozen=True)
class Found:
    """What is recommended for a network, and what it takes of the others' time."""

    runtime: str
    variant: str
    of_plain: float
    of_same: float
    optimised: float | None  # of the original under that runtime; None where nothing applies

    def told(self, name: str, at_most: float | None) -> Iterator[str]:
        yield f"{name}: {self.runtime} with {described(self.variant)}"
        if at_most:
            yield f"  of {PLAIN}{_judged(self.of_plain, at_most)}"
            if self.optimised is not None:
                yield f"  of {self.runtime}, unoptimised{_judged(self.of_same, SAME_AT_MOST)}"
            return
        yield f"  of {PLAIN} {self.of_plain:.2f}"
        yield f"  of {self.runtime}, unoptimised{_judged(self.of_same, NEVER_OVER)}"
        if self.optimised is not None and self.variant == ORIGINAL:
            yield f"  where the optimised network takes {self.optimised:.3f}"


def _judged(ratio: float, at_most: float) -> str:
    return f" {ratio:.3f}, at most {at_most}" + ("   <-- OVER" if ratio > at_most else "")


def judge(graph: Graph, picked: list[Runtime], options: argparse.Namespace) -> Found:
    """Chooses, and measures the choice again: the fastest of many in one run was lucky, too."""
    from archspec.export.samples import random_network

    made = sources(forms(random_network(graph), optional=options.forms))
    best = measure(made, picked, [1], options.choose).best(1)
    assert best, "no runtime can run the network"
    variants = {name: made[name] for name in dict.fromkeys((ORIGINAL, OPTIMISED, best.variant)) if name in made}
    again = measure(variants, chosen([PLAIN, best.runtime]), [1], options.seconds)
    same = _median(again, best.runtime, ORIGINAL)
    fast = _median(again, best.runtime, best.variant)
    optimised = _median(again, best.runtime, OPTIMISED) / same if OPTIMISED in made else None
    return Found(best.runtime, best.variant, fast / _median(again, PLAIN, ORIGINAL), fast / same, optimised)


def _median(measured: Measured, runtime: str, variant: str) -> float:
    found = {(cell.runtime, cell.variant): cell for cell in measured.cells}[runtime, variant]
    assert found.seconds, f"{runtime}, {variant}: {found.reason}"
    return found.median


def zoo(only: str) -> Iterator[str]:
    """The lines of the index whose networks are small enough, each variant once; of some families the tiny one."""
    index: dict[str, str] = yaml.safe_load((ROOT / "specs/index.yaml").read_text("utf-8"))
    tiny = [f"{name}.yaml@tiny" for name in SMALL]
    seen: set[str] = set()
    for line in (*index.values(), *tiny):
        if only not in line or (line not in tiny and line.split(".")[0] in SMALL):
            continue
        if line.split()[0] in seen:
            continue
        graph = load(line)
        cost = graph_cost(graph)
        if cost.macs <= MACS and cost.parameters_total <= PARAMETERS and len(graph.nodes) <= LAYERS:
            seen.add(line.split()[0])
            yield line


def load(line: str) -> Graph:
    import archspec

    spec, *changes = line.split()
    return archspec.load(ROOT / "specs" / spec, changes=changes).graph


def each_of_zoo(options: argparse.Namespace) -> None:
    """Every network in a process of its own, as some converters end theirs, and none gives all its memory back."""
    arguments = [text for text in sys.argv[1:] if text not in ("--zoo", *options.networks)]
    for line in (line for only in options.networks or [""] for line in zoo(only)):
        done = subprocess.run([sys.executable, __file__, *arguments, "--line", line], capture_output=True, text=True)
        print(done.stdout or f"{line}: failed\n{done.stderr[-2000:]}", end="", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[], metavar="NETWORK", help=f"of {', '.join(AT_MOST)}")
    parser.add_argument("--zoo", action="store_true", help="those of the index whose lines contain NETWORK, or all")
    parser.add_argument("--line", help="one line of the index")
    parser.add_argument("--runtimes", help="to choose among; default: all that are installed")
    parser.add_argument("--forms", action="store_true", help="choose also among the passes that pay sometimes")
    parser.add_argument("--choose", type=float, default=1.0, help="seconds for each form under each runtime, to choose")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds for each of what is compared then")
    options = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    picked = chosen(options.runtimes.split(",")) if options.runtimes else [*runtimes().values()]
    if options.zoo:
        each_of_zoo(options)
    elif options.line:
        print("\n".join(judge(load(options.line), picked, options).told(options.line, None)), flush=True)
    else:
        for name in options.networks or AT_MOST:
            found = judge(NETWORKS[name][0](), picked, options)
            print("\n".join(found.told(name, AT_MOST[name])), flush=True)


if __name__ == "__main__":
    main()
