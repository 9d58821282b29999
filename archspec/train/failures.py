"""What breaks a training off from outside, in words."""

from __future__ import annotations

import errno
import re


def explained(error: Exception) -> str | None:
    """The reason in a line, or None where the error is none that a machine or its data can cause."""
    if isinstance(error, OSError):
        return _of_the_system(error)
    kinds = {cls.__name__ for cls in type(error).__mro__}
    text = _first_line(str(error))
    if "OpError" in kinds:  # TensorFlow's: it may be not loaded, and need not be
        if kinds & {"NotFoundError", "DataLossError", "PermissionDeniedError", "UnavailableError"}:
            return f"the data cannot be read any more: {text}"
        if "ResourceExhaustedError" in kinds:
            return f"there is not enough memory, a smaller data.batch_size takes less: {text}"
        return text
    of_xla = kinds & {"JaxRuntimeError", "XlaRuntimeError"}  # on a CPU its code is INTERNAL
    if isinstance(error, MemoryError) or (of_xla and ("RESOURCE_EXH" in text or "Out of memory" in text)):
        return f"there is not enough memory, a smaller data.batch_size takes less: {text or 'MemoryError'}"
    if isinstance(error, RuntimeError):  # h5py's, for one
        return _no_room(str(error), "")
    return None


def _of_the_system(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    number = f"errno = {errno.ENOSPC if error.errno == errno.EDQUOT else error.errno}"
    return _no_room(f"{error}, {number}", where) or _first_line(str(error))


def _no_room(text: str, where: str) -> str | None:
    """Whether it is for want of room that a file was not written, which h5py says in its text only."""
    if "No space left" in text or f"errno = {errno.ENOSPC}" in text:
        return f"the disk is full{where}"
    if "File too large" in text or f"errno = {errno.EFBIG}" in text:
        return f"a file would be larger than the system allows{where}"
    return None


# TensorFlow's account of the graph around what it has to say.
_AROUND = re.compile(r"Graph execution error|Detected at node|<stack traces|File \"|\[\[|\(\d+\) ")
_PIPELINE = re.compile(r"Error in user-defined function passed to .* transformation with iterator: [\w:\[\]]+: ")


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    said = next((line for line in lines if line and not _AROUND.match(line)), "")
    return _PIPELINE.sub("", said)[:400]
