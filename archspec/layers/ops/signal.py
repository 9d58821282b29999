"""Functions of signals: Fourier transforms, framing, complex numbers in and out of pairs of floats."""

from __future__ import annotations

from collections.abc import Sequence

from archspec.layers.ops.common import Tensor, agree, array, equal_length, need_float, need_rank
from archspec.layers.ops.promotion import COMPLEX, floating
from archspec.layers.ops.promotion import real as real_dtype
from archspec.tensor import Array, Dim, ShapeError, broadcast, show_shape

Pair = tuple[Array, Array]


def _pair(name: str, x: Sequence[Tensor], rank: int = 1) -> Pair:
    """The real and imaginary parts of a signal."""
    if len(x) != 2:
        raise ShapeError(f"{name} needs two tensors, the real and the imaginary parts: {name}((re, im))")
    real, imag = array(x[0]), array(x[1])
    shape = agree(name, real.shape, imag.shape)
    need_rank(name, real, rank)
    need_float(name, real, imag)
    return Array(shape, real.dtype), Array(shape, imag.dtype)


def fft(x: Sequence[Tensor]) -> Pair:
    """The Fourier transform along the last axis, of real and imaginary parts."""
    return _pair("fft", x)


def fft2(x: Sequence[Tensor]) -> Pair:
    """The Fourier transform along the last two axes, of real and imaginary parts."""
    return _pair("fft2", x, 2)


def ifft2(x: Sequence[Tensor]) -> Pair:
    """The inverse of `fft2`."""
    return _pair("ifft2", x, 2)


def rfft(x: Tensor, fft_length: int | None = None) -> Pair:
    """The Fourier transform of a real signal along the last axis, as real and imaginary parts."""
    signal = array(x)
    need_rank("rfft", signal, 1)
    need_float("rfft", signal)
    length: Dim = signal.shape[-1] if fft_length is None else fft_length
    part = Array((*signal.shape[:-1], length // 2 + 1 if isinstance(length, int) else None), signal.dtype)
    return part, part


def irfft(x: Sequence[Tensor], fft_length: int | None = None) -> Array:
    """The inverse of `rfft`."""
    real, _ = _pair("irfft", x)
    bins = real.shape[-1]
    length = 2 * (bins - 1) if isinstance(bins, int) else None
    return Array((*real.shape[:-1], length if fft_length is None else fft_length), real.dtype)


def stft(
    x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: str | None = "hann",
    center: bool = True,
) -> Pair:  # fmt: skip
    """The Fourier transforms of frames of the last axis: (…, frames, bins), as real and imaginary parts."""
    signal = array(x)
    need_rank("stft", signal, 1)
    need_float("stft", signal)
    _check_stft("stft", sequence_length, sequence_stride, fft_length)
    length = signal.shape[-1]
    padded = length + (fft_length // 2 * 2 if center else 0) if isinstance(length, int) else None
    part = Array(
        (*signal.shape[:-1], _frames("stft", padded, fft_length, sequence_stride), fft_length // 2 + 1), signal.dtype
    )
    return part, part


def istft(
    x: Sequence[Tensor], sequence_length: int, sequence_stride: int, fft_length: int, length: int | None = None,
    window: str | None = "hann", center: bool = True,
) -> Array:  # fmt: skip
    """The inverse of `stft`."""
    real, _ = _pair("istft", x, 2)
    _check_stft("istft", sequence_length, sequence_stride, fft_length)
    frames = real.shape[-2]
    samples = (frames - 1) * sequence_stride + fft_length if isinstance(frames, int) else None
    if center and samples is not None:
        samples -= fft_length // 2 * 2
    return Array((*real.shape[:-2], samples if length is None else length), real.dtype)


def _check_stft(name: str, length: int, stride: int, fft_length: int) -> None:
    if not 0 < length <= fft_length or stride < 1:
        raise ShapeError(f"{name} needs 0 < sequence_length ≤ fft_length, got {length} and {fft_length}")


def _frames(name: str, length: int | None, window: int, stride: int) -> int | None:
    if length is not None and length < window:
        raise ShapeError(f"{name}: a frame of {window} does not fit a signal of {length}")
    return None if length is None else (length - window) // stride + 1


def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Array:
    """The frames of the last axis: (…, frames, sequence_length)."""
    signal = array(x)
    need_rank("extract_sequences", signal, 1)
    if sequence_length < 1 or sequence_stride < 1:
        raise ShapeError("extract_sequences needs a length and a stride of at least 1")
    length = signal.shape[-1] if isinstance(signal.shape[-1], int) else None
    frames = _frames("extract_sequences", length, sequence_length, sequence_stride)
    return Array((*signal.shape[:-1], frames, sequence_length), signal.dtype)


def correlate(x1: Tensor, x2: Tensor, mode: str = "valid") -> Array:
    """The cross-correlation of two vectors."""
    a, b = array(x1), array(x2)
    need_rank("correlate", a, 1, 1)
    need_rank("correlate", b, 1, 1)
    m, n = a.shape[0], b.shape[0]
    if mode not in ("valid", "same", "full"):
        raise ShapeError(f"mode must be valid, same or full, got {mode!r}")
    length = None
    if isinstance(m, int) and isinstance(n, int):
        long, short = max(m, n), min(m, n)
        length = {"valid": long - short + 1, "same": long, "full": long + short - 1}[mode]
    return Array((length,), floating(a.dtype, b.dtype))


def polar(abs_: Tensor, angle: Tensor) -> Array:
    """Complex numbers of these sizes and angles."""
    a, b = array(abs_), array(angle)
    need_float("polar", a, b)
    return Array(broadcast(a.shape, b.shape), "complex128" if a.dtype == "float64" else "complex64")


def view_as_complex(x: Tensor) -> Array:
    """Complex numbers of the pairs along the last axis."""
    tensor = array(x)
    need_rank("view_as_complex", tensor, 1)
    need_float("view_as_complex", tensor)
    if not equal_length(tensor.shape[-1], 2):
        raise ShapeError(f"view_as_complex needs pairs along the last axis, got {show_shape(tensor.shape)}")
    return Array(tensor.shape[:-1], "complex128" if tensor.dtype == "float64" else "complex64")


def view_as_real(x: Tensor) -> Array:
    """The real and imaginary parts of complex numbers, along a new last axis."""
    tensor = array(x)
    if tensor.dtype not in COMPLEX:
        raise ShapeError(f"view_as_real needs complex numbers, got {tensor.dtype}")
    return Array((*tensor.shape, 2), real_dtype(tensor.dtype))
