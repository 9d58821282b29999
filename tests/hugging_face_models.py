"""Models of `transformers` with random weights, and what they compute, written to files: nothing is downloaded.

    python tests/hugging_face_models.py FOLDER

It runs as a process of its own, since torch and TensorFlow cannot share one. For each model there is a folder with
`model.safetensors`, the file that the library saves; `state.npz`, its state in memory, which has other names;
`inputs.npz` and `outputs.npz`, by our names and with our layout of images; `epsilons.json`, of each normalisation.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers as hf
from torch import Tensor, nn

Arrays = dict[str, Tensor]
Case = tuple[nn.Module, Arrays, Callable[[nn.Module, Arrays], Arrays]]

BATCH = 3
CASES: dict[str, Callable[[], Case]] = {}


def case(make: Callable[[], Case]) -> Callable[[], Case]:
    CASES[make.__name__] = make
    return make


def images(size: int, batch: int = BATCH) -> Arrays:
    return {"image": torch.randn(batch, size, size, 3)}


def words(vocabulary: int, length: int, batch: int = BATCH) -> Tensor:
    return torch.randint(3, vocabulary, (batch, length))


def classify(model: nn.Module, inputs: Arrays) -> Arrays:
    return {"logits": model(inputs["image"].permute(0, 3, 1, 2)).logits}


@case
def bert() -> Case:
    config = hf.BertConfig(
        vocab_size=256, max_position_embeddings=64, num_hidden_layers=3, hidden_size=48, num_attention_heads=4,
        intermediate_size=4 * 48,
    )  # fmt: skip
    lengths = torch.tensor([[64], [40], [7]])
    inputs = {
        "tokens": words(256, 64),
        "segments": (torch.arange(64) >= lengths // 2).long(),
        "mask": torch.arange(64) < lengths,
    }

    def outputs(model: nn.Module, inputs: Arrays) -> Arrays:
        made = model(inputs["tokens"], token_type_ids=inputs["segments"], attention_mask=inputs["mask"].long())
        return {"sequence": made.last_hidden_state, "pooled": made.pooler_output}

    return hf.BertModel(config), inputs, outputs


@case
def gpt2() -> Case:
    config = hf.GPT2Config(vocab_size=256, n_positions=64, n_layer=3, n_embd=48, n_head=4)
    return hf.GPT2LMHeadModel(config), {"tokens": words(256, 64)}, lambda m, x: {"logits": m(x["tokens"]).logits}


@case
def t5() -> Case:
    """Longer than the distance from which positions share a bucket, so that all buckets take part."""
    config = hf.T5Config(vocab_size=256, d_model=48, d_kv=16, d_ff=192, num_layers=3, num_heads=2)
    source = words(256, 320)
    source[1, 200:] = source[2, 5:] = config.pad_token_id
    inputs = {"source": source, "target": words(256, 320)}

    def outputs(model: nn.Module, inputs: Arrays) -> Arrays:
        mask = (inputs["source"] != model.config.pad_token_id).long()
        made = model(input_ids=inputs["source"], attention_mask=mask, decoder_input_ids=inputs["target"])
        return {"logits": made.logits}

    return hf.T5ForConditionalGeneration(config), inputs, outputs


@case
def vit() -> Case:
    config = hf.ViTConfig(
        image_size=48, patch_size=8, num_hidden_layers=3, hidden_size=48, num_attention_heads=4, intermediate_size=96,
        num_labels=10,
    )  # fmt: skip
    return hf.ViTForImageClassification(config), images(48), classify


@case
def deit() -> Case:
    """The published models without the token of a teacher are ViTs; the library's own DeiT always has it."""
    config = hf.ViTConfig(
        image_size=48, patch_size=8, num_hidden_layers=3, hidden_size=48, num_attention_heads=4,
        intermediate_size=4 * 48, num_labels=10,
    )  # fmt: skip
    return hf.ViTForImageClassification(config), images(48), classify


@case
def deit_distilled() -> Case:
    config = hf.DeiTConfig(
        image_size=48, patch_size=8, num_hidden_layers=3, hidden_size=48, num_attention_heads=4,
        intermediate_size=4 * 48, num_labels=10,
    )  # fmt: skip
    return hf.DeiTForImageClassificationWithTeacher(config), images(48), classify


@case
def swin() -> Case:
    """Windows that shift in the first two stages; in the last one a window is all of the image."""
    config = hf.SwinConfig(image_size=64, window_size=4, embed_dim=24, depths=[2, 4, 2], num_heads=[2, 3, 6],
                           num_labels=10)  # fmt: skip
    return hf.SwinForImageClassification(config), images(64), classify


@case
def clip() -> Case:
    """All pairs of the images and the texts, whose ends differ."""
    config = hf.CLIPConfig(
        text_config={
            "vocab_size": 256, "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3,
            "num_attention_heads": 4, "max_position_embeddings": 16, "bos_token_id": 254, "eos_token_id": 255,
        },
        vision_config={
            "image_size": 48, "patch_size": 8, "hidden_size": 48, "intermediate_size": 192, "num_hidden_layers": 3,
            "num_attention_heads": 4,
        },
        projection_dim=24,
    )  # fmt: skip
    tokens = words(250, 16)
    tokens[0, 5] = tokens[1, 15] = tokens[2, 9] = 255
    pairs = [(i, j) for i in range(BATCH) for j in range(BATCH)]
    inputs = {
        "image": images(48)["image"][[i for i, _ in pairs]],
        "tokens": tokens[[j for _, j in pairs]],
    }

    def outputs(model: nn.Module, inputs: Arrays) -> Arrays:
        made = model(input_ids=inputs["tokens"], pixel_values=inputs["image"].permute(0, 3, 1, 2))
        return {"logits": made.logits_per_image.diagonal()[:, None]}

    return hf.CLIPModel(config), inputs, outputs


@case
def resnet18() -> Case:
    config = hf.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[2, 2, 2, 2], layer_type="basic", num_labels=10
    )
    return hf.ResNetForImageClassification(config), images(96), classify


@case
def resnet50() -> Case:
    """At full size, the library's default."""
    return hf.ResNetForImageClassification(hf.ResNetConfig(num_labels=1000)), images(224), classify


@case
def vit_b16() -> Case:
    """At full size, the library's default."""
    return hf.ViTForImageClassification(hf.ViTConfig(num_labels=1000)), images(224), classify


def epsilons(model: nn.Module) -> dict[str, float]:
    found = {name: getattr(module, "eps", getattr(module, "variance_epsilon", None))
             for name, module in model.named_modules() if "Norm" in type(module).__name__}  # fmt: skip
    return {name: epsilon for name, epsilon in found.items() if epsilon is not None}


def randomise(model: nn.Module) -> None:
    """Random weights, by which signals neither vanish nor explode; none is left at what it is by default."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    conv1d = {id(m.weight) for m in model.modules() if isinstance(m, hf.pytorch_utils.Conv1D)}
    for parameter in model.parameters():
        if names[id(parameter)] == "logit_scale":
            nn.init.constant_(parameter, 1.7)
        elif id(parameter) in embeddings or parameter.dim() == 3 or "bias_table" in names[id(parameter)]:
            nn.init.normal_(parameter, std=0.7)
        elif parameter.dim() > 1:
            fan_in = parameter.shape[0] if id(parameter) in conv1d else parameter[0].numel()
            nn.init.normal_(parameter, std=(1.5 / fan_in) ** 0.5)
            if re.search(r"Attention\.q\.", names[id(parameter)]):  # T5's scores have no scale of their own
                parameter /= parameter.shape[0] ** 0.25
        elif names[id(parameter)].endswith("weight"):
            nn.init.uniform_(parameter, 0.5, 1.5)
        else:
            nn.init.normal_(parameter, std=0.3)


def settle(model: nn.Module, inputs: Arrays, outputs: Callable[[nn.Module, Arrays], Arrays]) -> None:
    """Moving statistics that are about, but not quite, those of what each batch normalisation meets."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    if norms:
        outputs(model.train(), inputs)
    for norm in norms:
        norm.running_mean += 0.2 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
        norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.6, 1.6)


def numpy(tensors: Arrays) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


@torch.no_grad()
def write(name: str, folder: Path) -> None:
    torch.manual_seed(1)
    model, inputs, outputs = CASES[name]()
    randomise(model)
    settle(model, inputs, outputs)
    model.eval()
    model.save_pretrained(folder)
    np.savez(folder / "state.npz", **numpy(dict(model.state_dict())))
    np.savez(folder / "inputs.npz", **numpy(inputs))
    np.savez(folder / "outputs.npz", **numpy(outputs(model, inputs)))
    (folder / "epsilons.json").write_text(json.dumps(epsilons(model)), "utf-8")


if __name__ == "__main__":
    hf.utils.logging.disable_progress_bar()
    for name in CASES:
        write(name, Path(sys.argv[1]) / name)
