"""Every family of the zoo, small: what all passes make of it is proven, also of those that run only where named."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import archspec
from archspec.export.proof import prove
from archspec.export.samples import random_network
from archspec.graph.prune import pruned
from archspec.optimize.driver import OPTIONAL, ORDER, run
from archspec.optimize.rewrite import Level, Pass

keras = pytest.importorskip("keras")
gc.freeze()  # what stays anyway need not be looked through after each test

SPECS = Path(__file__).parent.parent / "specs"
GRADIENTS = 1e-5  # they are compared in float64
LIGHT = """
mlp.yaml@deep
mlp.yaml params.dropout=0.2
lenet.yaml@same28
lenet.yaml@paper1998
lenet.yaml@caffe
digits_cnn.yaml
alexnet.yaml@torchvision params.filters=[8,16,24,24,16] params.size=96 params.classes=10
nin.yaml@cifar10
vgg.yaml@vgg16 params.size=32 params.include_top=false
vgg.yaml@vgg16_bn params.size=32 params.include_top=false
googlenet_aux.yaml params.size=128 params.classes=10
inception.yaml@v2 params.size=64 params.classes=10
resnet.yaml@cifar20
resnet.yaml@cifar20 params.option=B
resnet.yaml@cifar110_preact params.n=2
highway.yaml@mnist_fc10
highway.yaml@mnist_plain10
highway.yaml@mnist_conv10_w16
highway.yaml@cifar10_19
densenet.yaml@densenet121 params.size=32
densenet.yaml@cifar40_k12 params.cifar=22
densenet.yaml@cifar100_k12_bc params.cifar=22
mobilenet_v2.yaml params.size=32 params.alpha=0.35
nasnet.yaml@mobile params.size=32 params.penultimate=264 params.repeats=1
nasnet.yaml@cifar params.penultimate=192 params.repeats=1
unet.yaml@small
rnn.yaml@lstm params.units=16
rnn.yaml@gru_cho2014 params.units=16
lstm_ptb.yaml@small params.units=16 params.vocabulary=99
lstm_text.yaml@small
seq2seq.yaml params.source_words=50 params.target_words=40 params.units=16 params.embedding=8 params.depth=2
seq2seq_char.yaml params.units=16
transformer.yaml@tiny
transformer.yaml@tiny params.bias=true params.tied=false
bert.yaml@tiny
gpt2.yaml@tiny
t5.yaml@tiny
vit.yaml@b16 params.size=32 params.depth=2 params.dim=32 params.heads=4 params.patch=8
deit.yaml@ti16 params.size=32 params.depth=2 params.dim=64 params.patch=8
deit.yaml@ti16_distilled params.size=32 params.depth=2 params.dim=64 params.patch=8
gcn.yaml@small
gcn.yaml@cora_bias params.nodes=30 params.features=16
vae.yaml@digits
vae.yaml@conv_encoder
vae.yaml@conv_decoder
gan.yaml@generator64 params.up=[16,8,8,8]
gan.yaml@discriminator64 params.down=[8,8,16,16]
gan.yaml@mnist params.up=[16,8,8] params.down=[8,16]
gan.yaml@digits_generator
gan.yaml@digits_discriminator
gan_training.yaml
siamese.yaml@mini
siamese.yaml@mnist
autoencoder.yaml@digits
autoencoder.yaml@hinton2006
""".strip().splitlines()
# Their gradients take a minute each.
HEAVY = """
alexnet.yaml@groups params.filters=[8,16,24,24,16] params.size=99 params.classes=10
inception.yaml@v3 params.size=75 params.classes=10
inception.yaml@rethinking params.size=107 params.classes=10
inception_resnet.yaml params.size=75 params.classes=10
resnet.yaml@resnet18 params.size=32
resnet.yaml@resnet50 params.size=32
resnet.yaml@keras_resnet50v2 params.size=32
resnet.yaml@resnet50_v1 params.size=32
resnet.yaml@cifar164_preact params.n=2
xception.yaml params.size=71 params.classes=10
mobilenet.yaml@v1 params.size=32 params.alpha=0.25
mobilenet.yaml@v3_small params.size=64
mobilenet.yaml@v3_large params.size=64 params.minimalistic=true
efficientnet.yaml@b0 params.size=32
efficientnet.yaml@v2_b0 params.size=32
amoebanet.yaml@c_4_50 params.size=32 params.filters=8 params.repeats=1
unet.yaml@original params.size=92 params.filters=[4,8]
unet.yaml@zhixuhao params.size=32 params.filters=[4,8,8,8]
unet.yaml@milesial params.size=32 params.filters=[4,8,8,8]
segnet.yaml params.height=32 params.width=32
rnn.yaml@simple
rnn.yaml@gru params.units=16
swin.yaml@t params.depths=[2,2] params.heads=[3,6] params.size=56
clip.yaml@tiny
vae.yaml@conv
googlenet.yaml@original params.size=96 params.classes=10
""".strip().splitlines()


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Keras keeps what it made until it is told to forget it."""
    yield
    keras.backend.clear_session()


def check(line: str, level: Level) -> None:
    spec, *changes = line.split()
    network = random_network(pruned(archspec.load(SPECS / spec, changes=changes).graph))
    usual: list[Pass] = [each for each in ORDER if level in (each.level, "inference")]
    optional = [each for each in OPTIONAL if level in (each.level, "inference")]
    plain, all_of_them = run(network, level, usual), run(network, level, [*usual, *optional])
    for optimized in [plain] if all_of_them.applied == plain.applied else [plain, all_of_them]:
        undo = optimized.undo if level == "training" else None
        proof = prove(network, optimized.network, redo=optimized.redo, undo=undo)
        assert proof.holds, (str(proof), [(each.pass_name, each.note) for each in optimized.applied])
        assert max((*proof.gradients.values(), *proof.states.values()), default=0) < GRADIENTS, str(proof)


def test_every_family_is_there() -> None:
    families = {line.split()[0].split("@")[0] for line in (*LIGHT, *HEAVY)}
    assert families == {path.name for path in SPECS.glob("*.yaml")} - {"index.yaml", "deconvnet.yaml"}  # of 250 million


@pytest.mark.slow
@pytest.mark.parametrize("line", [*LIGHT, *HEAVY])
def test_networks_keep_their_function(line: str) -> None:
    check(line, "inference")


@pytest.mark.slow
@pytest.mark.parametrize("line", LIGHT)
def test_networks_keep_their_gradients(line: str) -> None:
    check(line, "training")
