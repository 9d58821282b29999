"""What the tests of `keras.ops` run: tensors, and formulas over them for each function."""

from __future__ import annotations

from archspec.tensor import BATCH, Array

# Names of tensors in the cases; the batch is 3 when they are made for real.
TENSORS = {
    "x": Array((BATCH, 4, 6)),
    "y": Array((BATCH, 4, 6)),
    "m": Array((BATCH, 6, 5)),
    "w": Array((6, 5)),
    "g": Array((6,)),
    "v": Array((BATCH,)),
    "half": Array((BATCH, 4, 6), "float16"),
    "k": Array((BATCH, 4, 6), "int32"),
    "j": Array((BATCH, 4), "int32"),
    "ids": Array((BATCH,), "int32"),
    "bytes": Array((BATCH, 4, 6), "uint8"),
    "b": Array((BATCH, 4, 6), "bool"),
    "z": Array((BATCH, 4, 6), "complex64"),
    "one": Array((BATCH, 1, 6)),
    "img": Array((BATCH, 8, 9, 4)),
    "seq": Array((BATCH, 12, 4)),
    "vol": Array((BATCH, 6, 6, 6, 2)),
    "first": Array((BATCH, 4, 8, 9)),
    "s": Array((BATCH, 5, 5)),  # positive definite
    "q": Array((BATCH, 4, 6, 8)),
    "kv": Array((BATCH, 7, 2, 8)),
    "kernel2": Array((3, 3, 4, 5)),
    "kernel1": Array((3, 4, 5)),
    "kernel3": Array((2, 2, 2, 2, 3)),
    "grouped": Array((3, 3, 2, 6)),
    "deep2": Array((3, 3, 4, 2)),
    "point2": Array((1, 1, 8, 5)),
    "wide2": Array((3, 3, 5, 4)),
    "vec3": Array((BATCH, 4, 3)),
    "pairs": Array((BATCH, 4, 2)),
    "patches": Array((BATCH, 18, 36)),
    "probs": Array((BATCH, 4, 6)),
}

CASES = """
abs(z) | angle(z) | real(z) | imag(z) | conj(z) | conjugate(z) | absolute(x) | isreal(z) | clip(x, 0, 1)
clip(k, 0, 3) | clip(b, 0, 1) | clip(x, x_min=y, x_max=one) | round(x) | round(x, 2) | round(k, decimals=1)
nan_to_num(x) | nan_to_num(k, nan=1.0) | isclose(x, y) | isclose(x, 1.0, rtol=0.1) | isin(x, y)
isin(k, [1, 2], invert=True) | where(b, x, y) | where(b, x, 0) | where(b, 1, 0) | where(b, k, 0.5)
where(x > 0, half, 1.0) | select([b, x > 1], [x, y], 0.0) | cast(x, 'int32') | cast(k, dtype='float16')
cast(b, 'float32') | saturate_cast(x, 'uint8') | stop_gradient(k) | ldexp(x, k) | lcm(k, k) | gcd(k, 6)
maximum(x, 0) | maximum(0.5, k) | power(x, 2) | power(2, k) | add(half, 0.5) | multiply(b, 2)
add(x, [1, 2, 3, 4, 5, 6]) | add(k, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) | subtract(bytes, 1) | divide(k, 2)
divide(half, 3) | mod(b, 2) | add(x, one) | add(g, x) | less(k, 2.5) | equal(x, 1) | bitwise_and(k, 3)
left_shift(bytes, 1) | logaddexp(half, 1.0) | hypot(x, 2) | sum(x) | sum(x, axis=1) | sum(x, axis=(1, -1))
sum(k, -1, True) | sum(b, axis=0) | sum(bytes, 1) | mean(x, 1) | mean(k, axis=[1, 2]) | mean(b, -1)
mean(half, -1, keepdims=True) | var(x, 1) | std(k, 1) | median(x, axis=1) | max(k, 1) | max(x, axis=1, initial=0.5)
min(x, axis=(1, 2), keepdims=True) | min(x, 1, initial=9.0) | prod(bytes, 1) | prod(x, axis=1, dtype='float32')
all(b, 1) | any(x, -1) | argmax(x, axis=-1) | argmax(x) | argmin(k, 1, keepdims=True) | cumsum(b, 1)
cumsum(x, axis=-1, dtype='float16') | cumprod(x) | count_nonzero(x, axis=1) | logsumexp(x, axis=(1, 2))
logsumexp(x, -1, True) | norm(w) | norm(x, axis=-1) | norm(x, ord=1, axis=1)
norm(x, ord='fro', axis=(1, 2), keepdims=True) | norm(k, axis=-1) | average(x, axis=1) | average(x, axis=2, weights=g)
average(x, axis=1, weights=y) | moments(x, axes=[1]) | moments(x, (0, 1), keepdims=True) | quantile(x, 0.5, axis=1)
quantile(x, [0.1, 0.9], axis=(1, 2), keepdims=True) | percentile(x, 50, axis=1, method='nearest')
nanquantile(x, 0.5, axis=1) | nanpercentile(x, [5, 95], 2) | trapezoid(x) | trapezoid(x, dx=0.5, axis=1) | diff(x)
diff(x, n=2, axis=1) | segment_sum(x, ids, 3) | segment_max(x, ids, num_segments=4) | segment_min(x, ids, 3)
segment_prod(x, ids, 3) | psnr(x, y, 1.0) | corrcoef(w) | reshape(x, (-1, 24)) | reshape(x, (-1, 2, 2, 6))
reshape(x, (shape(x)[0], -1, 3)) | reshape(w, (3, -1)) | reshape(w, -1) | ravel(w) | ravel(x) | transpose(x)
transpose(x, (0, 2, 1)) | swapaxes(x, 1, -1) | moveaxis(x, 1, 2) | moveaxis(q, [1, 3], [3, 1])
moveaxis(q, (0, 1), (-1, 0)) | expand_dims(x, 1) | expand_dims(x, -1) | expand_dims(x, (1, -1)) | squeeze(one, 1)
squeeze(one) | squeeze(one, axis=[1]) | broadcast_to(one, (shape(one)[0], 4, 6)) | broadcast_to(g, (4, 6)) | flip(x)
flip(x, 1) | flip(x, (1, 2)) | fliplr(x) | flipud(x) | roll(x, 1) | roll(x, 2, axis=1) | roll(x, (1, 2), (1, 2))
rot90(x, axes=(1, 2)) | rot90(x, 2, (1, 2)) | rot90(w) | tile(x, (1, 2, 1)) | tile(x, 2) | tile(g, (2, 3))
repeat(x, 2, axis=1) | repeat(x, [1, 2, 0, 1], axis=1) | repeat(g, 2) | pad(x, ((0, 0), (1, 2), (0, 1)))
pad(x, [[0, 0], [1, 1], [0, 0]], mode='reflect') | pad(x, ((0, 0), (1, 1), (0, 0)), constant_values=1.0)
rearrange(img, 'b h w c -> b (h w) c') | rearrange(img, 'b (h p) w c -> b h w (p c)', p=2)
rearrange(x, 'b n c -> b c n') | concatenate([x, y], axis=1) | concatenate([x, k], -1) | concatenate((x, y), 0)
stack([x, y]) | stack([x, y], axis=1) | stack((x, k), -1) | hstack([x, y]) | hstack([g, g]) | vstack([x, y])
vstack([w, w]) | dstack([x, y]) | dstack([w, w]) | append(x, y) | append(x, y, axis=1) | meshgrid(g, g)
meshgrid(arange(3), arange(4), indexing='ij') | split(x, 2, axis=1) | split(x, 3, -1)[1] | split(x, [1, 3], axis=2)
array_split(x, 3, axis=1) | array_split(x, 4, axis=-1) | hsplit(x, 2) | vsplit(w, 3) | dsplit(x, 3)
unstack(x, axis=1) | unstack(x, num=6, axis=-1) | get_item(x, 0) | x[:, 0] | x[:, -1] | x[..., 0] | x[:, 1:3]
x[:, ::2, ::-1] | x[:, None] | x[:, :, None, :] | x[..., None] | x[:, 1:, :2] | x[:, 10:] | x[:, -3:-1] | x[:, 0, 1]
x[:, 3:0:-1] | take(x, 0, axis=1) | take(x, [0, 2], axis=1) | take(w, j, axis=0) | take(g, k) | take(x, j[0], axis=2)
take_along_axis(x, k, axis=1) | take_along_axis(x, k, axis=-1) | take_along_axis(g, j[0]) | slice(w, (1, 0), (2, 5))
slice(x, (0, 1, 2), (shape(x)[0], 2, 3)) | slice_update(x, (0, 0, 0), y) | slice_update(w, (1, 1), w[:2, :2])
scatter([[0], [2]], [1.0, 2.0], (5,)) | scatter_update(w, [[0, 1], [2, 2]], [1.0, 2.0])
scatter_update(g, [[1]], [2.0], reduction='add') | one_hot(j, 7) | one_hot(j, 7, axis=1)
one_hot(j, num_classes=5, dtype='int32') | one_hot(ids, 3, axis=0) | multi_hot(j, 8)
multi_hot(ids, num_classes=5, dtype='int32') | sort(x) | sort(k, axis=1) | argsort(x) | argsort(k, 1)
argpartition(w, 2) | top_k(x, 3) | top_k(k, k=2, sorted=False)[1] | in_top_k(ids, x[:, 0], 2) | searchsorted(g, v)
searchsorted(g, v, side='right') | digitize(x, [0.1, 0.5]) | unravel_index(j, (4, 5)) | tril(x) | tril(x, -1)
triu(x, k=1) | diag(g) | diag(g, -2) | diag(w) | diag(w, k=1) | diagflat(w) | diagonal(w)
diagonal(x, axis1=1, axis2=2) | diagonal(x, -1, 1, 2) | diagonal(x, 2, 2, 1) | array([1, 2])
array([[1.0, 2]], dtype='float16') | array([True, False]) | convert_to_tensor(3) | convert_to_tensor(2.5)
zeros((2, 3)) | zeros(4) | ones((2,), 'int32') | ones((shape(x)[0], 2)) | empty((2, 2)) | full((2, 3), 1)
full((2,), 0.5, 'float16') | zeros_like(x) | ones_like(k) | ones_like(x, dtype='int32') | empty_like(b)
full_like(x, 2) | eye(3) | eye(3, 4, k=1, dtype='int32') | identity(4) | tri(3) | tri(3, 5, 1) | arange(5)
arange(1, 6, 2) | arange(0.0, 1.0, 0.3) | arange(5, 0, -2) | arange(4, dtype='float32') | arange(shape(x)[0])
linspace(0, 1, 5) | linspace(0.0, 1.0, num=4, endpoint=False, dtype='float16') | linspace(g, g, 3, axis=-1)
linspace(0, 1, 5, retstep=True) | logspace(0, 2, 5) | logspace(g, 1.0, 4) | geomspace(1, 10, 4)
geomspace(g + 1, 10.0, 3) | vander(g) | vander(g, 3, increasing=True) | hamming(5) | hanning(5) | blackman(5)
bartlett(5) | kaiser(5, 2.0) | matmul(x, m) | matmul(x, w) | x @ swapaxes(y, 1, 2) | matmul(x, g) | matmul(g, m)
matmul(g, g) | matmul(k, swapaxes(k, 1, 2)) | matmul(half, m) | dot(x, w) | dot(x, g) | dot(x, 2.0) | dot(g, w)
dot(w, m[0, 0]) | inner(x, g) | inner(x, y) | inner(w, w) | outer(g, g) | outer(w, g) | outer(v, g) | vdot(g, g)
vdot(w, w) | kron(w, w) | kron(g, w) | tensordot(x, w, 1) | tensordot(x, y, axes=[[1, 2], [1, 2]])
tensordot(x, w, axes=(2, 0)) | tensordot(x, w, axes=((-1,), (0,))) | cross(vec3, vec3) | cross(vec3, [0.0, 0.0, 1.0])
cross(swapaxes(vec3, 1, 2), swapaxes(vec3, 1, 2), axis=1) | cdist(x, y) | cdist(w, w) | einsum('bij,bjk->bik', x, m)
einsum('...i,io->...o', x, w) | einsum('bij,bkj->bik', x, y) | einsum('bij->bji', x) | einsum('ij,jk', w, m[0, :5])
einsum('...ij,...jk->...ik', x, m) | einsum('bij->b', x) | einsum('bii->bi', s) | einsum('bij,jo,op->bip', x, w, s[0])
einsum('b...->...b', x) | einsum('bqhd,bkhd->bhqk', kv, kv) | einsum('ij', transpose(w))
einsum('bij,bij->bij', k, k) | einsum('...i,...i->...', x, one) | trace(w) | trace(x, axis1=1, axis2=2)
trace(bytes, 0, 1, 2) | inv(s) | det(s) | logdet(s) | slogdet(s) | cholesky(s) | cholesky(s, upper=True)
cholesky_inverse(cholesky(s)) | pinv(x) | pinv(w, rcond=0.1) | matrix_rank(x) | solve(s, swapaxes(m, 1, 2))
solve(s, x[:, 0, :5]) | solve_triangular(cholesky(s), swapaxes(m, 1, 2), lower=True) | lstsq(w, g) | qr(x)
qr(x, mode='complete') | svd(x) | svd(x, full_matrices=False) | svd(x, compute_uv=False) | eigh(s) | eig(s)
lu_factor(s[0]) | relu(x) | relu(k) | relu6(bytes) | leaky_relu(x) | leaky_relu(k, 0.1) | elu(x, alpha=0.5) | celu(x)
gelu(x) | gelu(half, approximate=False) | hard_shrink(x) | soft_shrink(x, 0.2) | threshold(x, 0.5, 0.0)
squareplus(x, b=2) | glu(x) | glu(x, axis=1) | softmax(x) | softmax(half, axis=1) | softmax(x, axis=(1, 2))
log_softmax(x, 1) | sparsemax(x) | normalize(x) | normalize(x, axis=1, order=1) | layer_normalization(x)
layer_normalization(x, gamma=g, beta=g) | layer_normalization(half, axis=-1) | layer_normalization(x, axis=(1, 2))
rms_normalization(x, scale=g) | rms_normalization(k) | batch_normalization(x, g, abs(g), -1)
batch_normalization(x, array([0.0, 0, 0, 0]), array([1.0, 1, 1, 1]), axis=1) | dot_product_attention(kv, kv, kv)
dot_product_attention(q, kv, kv, is_causal=True, scale=0.5)
dot_product_attention(kv, kv, kv, mask=ones((1, 1, 7, 7), 'bool'))
dot_product_attention(q, kv, kv, bias=zeros((6, 4, 7))) | binary_crossentropy(probs, probs)
categorical_crossentropy(probs, probs, from_logits=True) | sparse_categorical_crossentropy(j, x, from_logits=True)
sparse_categorical_crossentropy(j[..., None], x) | ctc_loss(j, seq, ids + 1, ids + 5) | ctc_decode(seq, ids + 5)
ctc_decode(seq, ids + 5, strategy='beam_search', top_paths=2) | conv(img, kernel2)
conv(img, kernel2, strides=2, padding='same') | conv(img, kernel2, (1, 2), dilation_rate=1)
conv(img, kernel2, dilation_rate=2) | conv(seq, kernel1, 3) | conv(vol, kernel3, padding='SAME') | conv(img, grouped)
depthwise_conv(img, deep2) | depthwise_conv(img, deep2, strides=2, padding='same')
separable_conv(img, deep2, point2) | conv_transpose(img, wide2) | conv_transpose(img, wide2, 2, padding='same')
conv_transpose(img, wide2, strides=2, output_padding=1)
conv_transpose(img, wide2, strides=2, padding='same', output_padding=0) | max_pool(img, 2)
max_pool(img, (2, 3), 1, 'same') | max_pool(seq, 4) | average_pool(img, 3, strides=2)
average_pool(seq, 5, 2, 'same') | adaptive_max_pool(img, 3) | adaptive_average_pool(img, (2, 5))
adaptive_average_pool(seq, 3) | space_to_depth(img[:, :, :8], 2) | depth_to_space(img, block_size=2)
unfold(first, 3) | unfold(first, (2, 3), padding=1, stride=2) | fold(patches, (8, 8), 3) | fft((x, y)) | fft2((x, y))
ifft2((x, y)) | rfft(x) | rfft(x, fft_length=8) | irfft((x, y)) | irfft((x, y), 7) | stft(x, 4, 2, 4)
stft(x, 3, 1, 4, center=False, window='hamming') | istft(stft(x, 4, 2, 4), 4, 2, 4)
istft(stft(x, 4, 1, 4), 4, 1, 4, length=5) | istft(stft(x, 4, 1, 4, center=False), 4, 1, 4, center=False)
extract_sequences(x, 4, 2) | correlate(g, g) | correlate(g, g, mode='full') | correlate(g, w[:3, 0], 'same')
polar(x, y) | view_as_complex(pairs) | view_as_real(z) | shape(x) | ndim(x) | nanargmax(x, 1) | nanargmin(x, axis=-1)
"""

# Formulas as specs have them.
FORMULAS = """
softmax(q[:, :, 0] @ swapaxes(q[:, :, 0], -1, -2) / sqrt(64)) @ q[:, :, 1]
x * sigmoid(x) + one / (1 + exp(-y))
x @ w + 2 ** 3 - g[:5]
(x - mean(x, -1, keepdims=True)) / sqrt(var(x, -1, keepdims=True) + 1e-6)
where((x > 0) & (y <= 0.5), x, -y)
where(~b | (x != y), 1.0, 0.0)
not b
b ^ (x >= 1)
k & 3
k % 2 == 0
k // 2 - +k
half / sqrt(64)
-x[:, 0] ** 2
split(x, 2, axis=-1)[0] * sigmoid(split(x, 2, axis=-1)[1])
reshape(x, (shape(x)[0],) + shape(x)[2:] + (-1,))
(x, x + 1)
[0.1, 0.2, 0.3, 0.4, 0.5, 0.6] * x
concatenate([x, y * 2], -1)
stack(split(x, 3, -1), axis=1)
ones((shape(x)[0], 1, 6)) + x
x[:, 1:][..., ::2]
mean(sum(square(x), -1), 1)
"""
