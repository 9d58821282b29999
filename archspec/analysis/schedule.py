"""An order of tasks in which what is alive at once peaks lowest.

The memory of a set of finished tasks is submodular: mem(A ∪ B) + mem(A ∩ B) ≤ mem(A) + mem(B), as a tensor lives from
the one task that makes it to the last of those that read it. So of all that can be reached from a state without going
over a level, the first state, by the number of tasks, whose memory is no more than the state's own can be taken for
good: whatever order the rest has, it goes as well from there. (Would one of its parts take less, that part could be
reached alone by the same steps, and would have been found first.) These are the hills and valleys of Liu 1987, An
application of generalized tree pebbling to sparse matrix factorization, SIAM J. Algebraic Discrete Methods 8(3); the
search for sets of finished tasks between the tasks that all paths pass is that of Ahn et al. 2020, arXiv:2003.02369.

Finding the best order is NP-hard in general, so the search is bounded: where it ends early, the lowest state that was
seen is taken, and at last the task that adds least; and what is wider than WINDOW is cut. Time is near linear.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

FLOOD = 4_000  # steps that one search may try
BUDGET = 300_000  # tensors and tasks that all of them together may look at, with EACH for every task
EACH = 4
WINDOW = 2_000  # tasks that are looked at together


@dataclass(frozen=True)
class Tensor:
    """`maker` is a task, or None: then it is there from the start, or, if `late`, from its first reader on.

    `readers` stand in order; a late one has some. `kept`: to the end. What nothing reads is gone when its task has run,
    or before the first.
    """

    size: int
    maker: int | None
    readers: tuple[int, ...]
    kept: bool = False
    late: bool = False


@dataclass(frozen=True)
class Problem:
    """Tasks 0, 1, … in an order that is possible. Each runs after the makers of what it reads."""

    tasks: int
    tensors: Sequence[Tensor]


@dataclass(frozen=True)
class Schedule:
    """`exact`: no order has a lower peak."""

    order: tuple[int, ...]
    peak: int
    exact: bool


def peak_of(problem: Problem, order: Sequence[int]) -> int:
    """The most bytes alive at once: while a task runs, what it reads and what it makes is."""
    place = {task: i for i, task in enumerate(order, 1)}
    change = [0] * (len(order) + 2)  # from the start, before any task, to the end
    for tensor in problem.tensors:
        read = [place[task] for task in tensor.readers]
        start = min(read) if tensor.late else 0 if tensor.maker is None else place[tensor.maker]
        change[start] += tensor.size
        if not tensor.kept:
            change[max(read, default=start) + 1] -= tensor.size
    return max(accumulate(change))


def schedule(problem: Problem) -> Schedule:
    """The best order that is found, never worse than the one that is given."""
    level = _least(problem)
    order: Sequence[int] = range(problem.tasks)
    given = Schedule(tuple(order), peak_of(problem, order), True)
    if given.peak <= level:
        return given
    order, exact, left = [], True, BUDGET
    memory = sum(t.size for t in _given(problem) if t.readers or t.kept)
    for part in _parts(problem):
        search = _Search(part, memory, level, left + EACH * len(part.tasks))
        order += search.run()
        memory, level, left = search.memory, search.level, search.left
        exact = exact and search.exact and part.whole
    found = Schedule(tuple(order), peak_of(problem, order), exact)
    return found if found.peak < given.peak else Schedule(given.order, given.peak, exact)


def _given(problem: Problem) -> Iterator[Tensor]:
    return (tensor for tensor in problem.tensors if tensor.maker is None and not tensor.late)


def _least(problem: Problem) -> int:
    """What no order goes below: the start, and each task with what it reads and makes."""
    start = sum(t.size for t in _given(problem))
    needs = [0] * problem.tasks
    for tensor in problem.tensors:
        for task in {*tensor.readers, *([] if tensor.maker is None else [tensor.maker])}:
            needs[task] += tensor.size
    return max([start, *needs])


# --- parts ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Read:
    """A tensor that a task reads: its readers in this part as bits, whether it comes or goes with them."""

    size: int
    readers: int
    comes: bool
    goes: bool


@dataclass(frozen=True)
class _Part:
    """Tasks between two that all others come before or after; the last is such a one. Bits count from the first.

    `needs[i]`: those that must be done before; `opens[i]`: those that wait for it. `makes[i]`: the bytes that it makes,
    of which `drops[i]` nothing reads. Not `whole` where it was cut for its width.
    """

    tasks: Sequence[int]
    needs: Sequence[int]
    opens: Sequence[Sequence[int]]
    makes: Sequence[int]
    drops: Sequence[int]
    reads: Sequence[Sequence[_Read]]
    whole: bool


def _parts(problem: Problem) -> Iterator[_Part]:
    """The problem cut behind each task that is before or after all others. Linear in tasks and readers."""
    read_by: list[list[Tensor]] = [[] for _ in range(problem.tasks)]
    made_by: list[list[Tensor]] = [[] for _ in range(problem.tasks)]
    for tensor in problem.tensors:
        if tensor.maker is not None:
            made_by[tensor.maker].append(tensor)
        for task in tensor.readers:
            read_by[task].append(tensor)
    start = 0
    for end in _cuts(problem):
        for first in range(start, end, WINDOW):
            yield _part(range(first, min(end, first + WINDOW)), read_by, made_by, end - start <= WINDOW)
        start = end


def _cuts(problem: Problem) -> Iterator[int]:
    """The places behind the tasks that are comparable with all others.

    A task ends the set of those up to it if no other of them is read by none of them, and begins the set of those from
    it on if no other of them waits for none of them.
    """
    first = [problem.tasks] * problem.tasks  # reader
    last = [-1] * problem.tasks  # maker
    for tensor in problem.tensors:
        if tensor.maker is not None:
            first[tensor.maker] = min([first[tensor.maker], *tensor.readers])
            for task in tensor.readers:
                last[task] = max(last[task], tensor.maker)
    ends, begins = [0] * (problem.tasks + 1), [0] * (problem.tasks + 1)
    for task in range(problem.tasks):
        ends[task] += 1
        ends[first[task]] -= 1
        begins[last[task] + 1] += 1
        begins[task + 1] -= 1
    counts = zip(accumulate(ends), accumulate(begins), strict=True)
    for task, (alone, source) in enumerate(counts):
        if task + 1 == problem.tasks or (task < problem.tasks and alone == source == 1):
            yield task + 1


def _part(tasks: range, read_by: Sequence[Sequence[Tensor]], made_by: Sequence[Sequence[Tensor]], whole: bool) -> _Part:
    needs, reads = [0] * len(tasks), [list[_Read]() for _ in tasks]
    opens = [list[int]() for _ in tasks]
    inside = {id(t): t for task in tasks for t in (*read_by[task], *made_by[task])}
    for tensor in inside.values():
        first, end = bisect_left(tensor.readers, tasks.start), bisect_left(tensor.readers, tasks.stop)
        local = [task - tasks.start for task in tensor.readers[first:end]]
        if not local:
            continue
        goes = not tensor.kept and end == len(tensor.readers)
        read = _Read(tensor.size, sum(1 << i for i in local), tensor.late and not first, goes)
        maker = tensor.maker - tasks.start if tensor.maker is not None and tensor.maker in tasks else None
        for i in local:
            if read.comes or read.goes:
                reads[i].append(read)
            if maker is not None:
                needs[i] |= 1 << maker
                opens[maker].append(i)
    makes = [sum(t.size for t in made_by[task]) for task in tasks]
    drops = [sum(t.size for t in made_by[task] if not t.readers and not t.kept) for task in tasks]
    return _Part(tasks, needs, opens, makes, drops, reads, whole)


# --- search ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    """A set of finished tasks, as it was reached: the level that it took, and the tasks that may run next."""

    level: int
    done: int
    size: int
    memory: int
    ready: int
    task: int = -1
    before: _State | None = None

    def path(self) -> list[int]:
        """The tasks that led to it."""
        steps, state = list[int](), self
        while state.before is not None:
            steps.append(state.task)
            state = state.before
        return steps[::-1]


class _Search:
    """The order of one part. `level` is what the peak has come to, `left` how many steps may still be tried."""

    def __init__(self, part: _Part, memory: int, level: int, left: int) -> None:
        self.part, self.memory, self.level, self.left = part, memory, level, left
        self.work = [1 + len(read) + len(opened) for read, opened in zip(part.reads, part.opens, strict=True)]
        self.exact = True

    def run(self) -> list[int]:
        tasks, part = self.part.tasks, self.part
        ready = sum(1 << i for i, needs in enumerate(part.needs) if not needs)
        state, order = _State(self.level, 0, 0, self.memory, ready), list[int]()
        while state.size < len(tasks):
            if self.left <= 0:
                self.exact = False
                order += self._greedy(state)
                return [tasks[i] for i in order]
            state = self._flood(state)
            order += state.path()
            self.memory, self.level = state.memory, state.level
            state = replace(state, before=None)
        return [tasks[i] for i in order]

    def _flood(self, start: _State) -> _State:
        """The next state that can be taken for good; if that is not found in time, the lowest that was seen."""
        heap = [(start.level, start.size, start.memory, start.done)]
        seen, tried, lowest = {start.done: start}, 0, None
        while True:
            level, size, memory, done = heapq.heappop(heap)
            state = seen[done]
            if state.level < level:
                continue
            if state is not start:
                if memory <= start.memory or size == len(self.part.tasks):
                    return state
                if lowest is None or (level, memory, -size) < (lowest.level, lowest.memory, -lowest.size):
                    lowest = state
                if tried > FLOOD or self.left <= 0:
                    self.exact = False
                    return lowest
            for task in _bits(state.ready):
                tried, self.left = tried + 1, self.left - self.work[task]
                after = self._step(state, task)
                known = seen.get(after.done)
                if known is None or after.level < known.level:
                    seen[after.done] = after
                    heapq.heappush(heap, (after.level, after.size, after.memory, after.done))

    def _step(self, state: _State, task: int) -> _State:
        part, done = self.part, state.done | 1 << task
        memory = state.memory + part.makes[task]
        freed = part.drops[task]
        for read in part.reads[task]:
            if read.comes and not read.readers & state.done:
                memory += read.size
            if read.goes and not read.readers & ~done:
                freed += read.size
        ready = state.ready & ~(1 << task)
        for other in part.opens[task]:
            if not part.needs[other] & ~done:
                ready |= 1 << other
        level = max(state.level, memory)
        return _State(level, done, state.size + 1, memory - freed, ready, task, state)

    def _greedy(self, state: _State) -> list[int]:
        """The rest: the task that adds least, as was last seen; it adds less when others have read what it reads."""
        order: list[int] = []
        heap = [(self._adds(state, task), task) for task in _bits(state.ready)]
        heapq.heapify(heap)
        while heap:
            _, task = heapq.heappop(heap)
            if state.done >> task & 1:
                continue  # it stood here twice
            before, state = state, replace(self._step(state, task), before=None)
            order.append(task)
            changed = state.ready & ~before.ready
            for read in self.part.reads[task]:
                rest = read.readers & ~state.done
                if read.goes and not rest & (rest - 1):
                    changed |= rest & state.ready
            for other in _bits(changed):
                heapq.heappush(heap, (self._adds(state, other), other))
        self.memory, self.level = state.memory, state.level
        return order

    def _adds(self, state: _State, task: int) -> int:
        return self._step(state, task).memory - state.memory


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
