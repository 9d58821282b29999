"""Mappings from the names of Hugging Face's `transformers`, in files that it saves and in memory (`state_dict`).

The two differ: since its version 5 many models name their layers anew and their files keep the old names. A file of a
model without a head lacks the model's own prefix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archspec.weights.rules import Rule

Table = Mapping[str, str]


def _dense(table: Table, kernel: str = "transpose", transform: str = "same") -> tuple[Rule, ...]:
    """Rules for dense layers and convolutions, from one name without its variable to another."""
    return tuple(
        rule
        for source, target in table.items()
        for rule in (
            Rule(rf"{source}\.weight", f"{target}/kernel", kernel),
            Rule(rf"{source}\.bias", f"{target}/bias", transform),
        )
    )


def _conv(table: Table) -> tuple[Rule, ...]:
    return _dense(table, "conv")


def _heads(table: Table) -> tuple[Rule, ...]:
    """Rules for the dense layers of a MultiHeadAttention, which has an axis for its heads."""
    return _dense(table, "transpose heads", "heads")


def _norms(table: Table) -> tuple[Rule, ...]:
    """Rules for layer normalisations; gamma and beta are the names of the oldest files."""
    return tuple(
        rule
        for source, target in table.items()
        for rule in (
            Rule(rf"{source}\.(?:weight|gamma)", f"{target}/gamma"),
            Rule(rf"{source}\.(?:bias|beta)", f"{target}/beta"),
        )
    )


def _batch_norms(table: Table) -> tuple[Rule, ...]:
    names = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    return tuple(
        Rule(rf"{source}\.{theirs}", f"{target}/{ours}")
        for source, target in table.items()
        for theirs, ours in names.items()
    )


def _arrays(table: Table, transform: str = "reshape") -> tuple[Rule, ...]:
    return tuple(Rule(source, target, transform) for source, target in table.items())


def _unneeded(*sources: str) -> tuple[Rule, ...]:
    """Heads of which the spec has none, and what is computed anew: indices, masks, counts of steps."""
    return tuple(Rule(source, None) for source in sources)


_POST = "encoder{1+1}.post_norm"
_BERT_LAYER = r"(?:bert\.)?encoder\.layer\.(\d+)\."
BERT = (
    *_arrays({
        r"(?:bert\.)?embeddings\.word_embeddings\.weight": "word.words/embeddings",
        r"(?:bert\.)?embeddings\.token_type_embeddings\.weight": "segment.types/embeddings",
        r"(?:bert\.)?embeddings\.position_embeddings\.weight": "positions.table.weight/weight",
    }, "same"),
    *_norms({
        r"(?:bert\.)?embeddings\.LayerNorm": "embedding",
        rf"{_BERT_LAYER}attention\.output\.LayerNorm": f"{_POST}.layer_normalization",
        rf"{_BERT_LAYER}output\.LayerNorm": f"{_POST}_2.layer_normalization",
    }),
    *_heads({
        rf"{_BERT_LAYER}attention\.self\.(query|key|value)": f"{_POST}.branch.multi_head_attention/{{2}}",
        rf"{_BERT_LAYER}attention\.output\.dense": f"{_POST}.branch.multi_head_attention/attention_output",
    }),
    *_dense({
        rf"{_BERT_LAYER}intermediate\.dense": f"{_POST}_2.branch.mlp.dense",
        rf"{_BERT_LAYER}output\.dense": f"{_POST}_2.branch.mlp.dense_2",
        r"(?:bert\.)?pooler\.dense": "pooled",
    }),
    *_unneeded(r"cls\..*", r"(?:bert\.)?embeddings\.position_ids", r"(?:bert\.)?pooler\..*"),
)  # fmt: skip


def _encoder(source: str, target: str, theirs: Table) -> tuple[Rule, ...]:
    """Rules for the layers of an encoder with normalised branches, of which `theirs` gives the names."""
    ours = f"{target}.pre_norm.branch.attention.multi_head_attention"
    return (
        *_heads({rf"{source}{theirs[name]}": f"{ours}/{name}" for name in ("query", "key", "value")}),
        *_heads({rf"{source}{theirs['output']}": f"{ours}/attention_output"}),
        *_norms({
            rf"{source}{theirs['norm1']}": f"{target}.pre_norm.branch.layer_normalization",
            rf"{source}{theirs['norm2']}": f"{target}.pre_norm_2.branch.layer_normalization",
        }),
        *_dense({
            rf"{source}{theirs['mlp1']}": f"{target}.pre_norm_2.branch.mlp.dense",
            rf"{source}{theirs['mlp2']}": f"{target}.pre_norm_2.branch.mlp.dense_2",
        }),
    )  # fmt: skip


_PRE = "decoder{1+1}.pre_norm"
_ATTENTION = f"{_PRE}.branch.attention.multi_head_attention"
_GPT2_LAYER = r"(?:transformer\.)?h\.(\d+)\."
GPT2 = (
    *_arrays({
        r"(?:transformer\.)?wte\.weight": "embedding/embeddings",
        r"lm_head\.weight": "embedding/embeddings",
        r"(?:transformer\.)?wpe\.weight": "positions.table.weight/weight",
    }, "same"),
    *_norms({
        rf"{_GPT2_LAYER}ln_1": f"{_PRE}.branch.layer_normalization",
        rf"{_GPT2_LAYER}ln_2": f"{_PRE}_2.branch.layer_normalization",
        r"(?:transformer\.)?ln_f": "decoded",
    }),
    *(
        rule
        for part, name in enumerate(["query", "key", "value"])
        for rule in _dense(
            {rf"{_GPT2_LAYER}attn\.c_attn": f"{_ATTENTION}/{name}"}, *2 * [f"split:3:{part} heads"]
        )
    ),
    *_dense({rf"{_GPT2_LAYER}attn\.c_proj": f"{_ATTENTION}/attention_output"}, "heads"),
    *_dense({  # (in, out) here, other than in its other models
        rf"{_GPT2_LAYER}mlp\.c_fc": f"{_PRE}_2.branch.mlp.dense",
        rf"{_GPT2_LAYER}mlp\.c_proj": f"{_PRE}_2.branch.mlp.dense_2",
    }, "same"),
    *_unneeded(rf"{_GPT2_LAYER}attn\.(?:masked_)?bias"),
)  # fmt: skip


def _t5_stack(stack: str, attentions: Sequence[tuple[str, str]]) -> tuple[Rule, ...]:
    """Rules for the encoder or the decoder, whose sublayers are numbered."""
    layer, ours = rf"{stack}\.block\.(\d+)\.layer\.", f"{stack}{{1+1}}"
    feed_forward = f"{ours}.feed_forward.sublayer.pre_norm.branch"
    last = rf"{layer}{len(attentions)}\."
    rules = [
        *_arrays({rf"{last}layer_norm\.weight": f"{feed_forward}.rms_normalization/scale"}, "same"),
        *_dense({
            rf"{last}DenseReluDense\.wi": f"{feed_forward}.mlp.dense",
            rf"{last}DenseReluDense\.wo": f"{feed_forward}.mlp.dense_2",
        }),
    ]  # fmt: skip
    for number, (theirs, name) in enumerate(attentions):
        branch = f"{ours}.{name}.pre_norm.branch"
        rules += _arrays({rf"{layer}{number}\.layer_norm\.weight": f"{branch}.rms_normalization/scale"}, "same")
        rules += _dense({
            rf"{layer}{number}\.{theirs}\.([qkv])": f"{branch}.attend.biased_attention.{{2}}.dense",
            rf"{layer}{number}\.{theirs}\.o": f"{branch}.attend.biased_attention.output",
        })  # fmt: skip
    return tuple(rules)


_BIAS = r"\.block\.0\.layer\.0\.SelfAttention\.relative_attention_bias\.weight"
T5 = (
    *_arrays({
        r"shared\.weight|(?:encoder|decoder)\.embed_tokens\.weight|lm_head\.weight": "words/embeddings",
        rf"encoder{_BIAS}": "relative_bias.table/weight",
        rf"decoder{_BIAS}": "relative_bias_2.table/weight",
        r"encoder\.final_layer_norm\.weight": "memory.rms_normalization/scale",
        r"decoder\.final_layer_norm\.weight": "finish.rms_normalization/scale",
    }, "same"),
    *_t5_stack("encoder", [("SelfAttention", "self_attention")]),
    *_t5_stack("decoder", [("SelfAttention", "self_attention"), ("EncDecAttention", "cross_attention")]),
    # The first files had it, and no version of the model ever used it.
    *_unneeded(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"),
)  # fmt: skip

_VIT_NAMES = {
    "query": r"attention\.(?:attention\.query|q_proj)",
    "key": r"attention\.(?:attention\.key|k_proj)",
    "value": r"attention\.(?:attention\.value|v_proj)",
    "output": r"attention\.(?:output\.dense|o_proj)",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "mlp1": r"(?:intermediate\.dense|mlp\.fc1)",
    "mlp2": r"(?:output\.dense|mlp\.fc2)",
}


def _vit(name: str, tokens: Table, classifiers: Table) -> tuple[Rule, ...]:
    prefix = rf"(?:{name}\.)?"
    return (
        *_conv({rf"{prefix}embeddings\.patch_embeddings\.projection": "patches.conv2d"}),
        *_arrays({rf"{prefix}embeddings\.{theirs}": f"{ours}.token.weight/weight" for theirs, ours in tokens.items()}),
        *_arrays({rf"{prefix}embeddings\.position_embeddings": "embedding.table.weight/weight"}),
        *_encoder(rf"{prefix}(?:encoder\.layer|layers)\.(\d+)\.", "encoder{1+1}", _VIT_NAMES),
        *_norms({rf"{prefix}layernorm": "encoded"}),
        *_dense(classifiers),
        *_unneeded(rf"{prefix}embeddings\.mask_token", rf"{prefix}pooler\..*"),
    )


VIT = _vit("vit", {"cls_token": "sequence"}, {"classifier": "predictions"})
# The published plain ones are ViTs. DeiTForImageClassification, with a second token but no head for it, is neither.
DEIT = _vit(
    "(?:deit|vit)",
    {"cls_token": "class_token", "distillation_token": "distillation_token"},
    {"(?:cls_)?classifier": "class_logits", "distillation_classifier": "distillation_logits"},
)

_SWIN_BLOCK = r"(?:swin\.)?encoder\.layers\.(\d+)\.blocks\.(\d+)\."
_SWIN = "stage{1+1}.encoder{2+1}"
_WINDOW = f"{_SWIN}.pre_norm.branch.window_attention"
_DOWN = r"(?:swin\.)?encoder\.layers\.(\d+)\.downsample\."
SWIN = (
    *_conv({r"(?:swin\.)?embeddings\.patch_embeddings\.projection": "patches"}),
    *_arrays({
        rf"{_SWIN_BLOCK}attention\.(?:self|relative_position_bias)\.relative_position_bias_table":
            f"{_WINDOW}.bias.weight/weight",
    }, "same"),
    *_norms({
        r"(?:swin\.)?embeddings\.norm": "embedding",
        rf"{_SWIN_BLOCK}layernorm_before": f"{_SWIN}.pre_norm.branch.layer_normalization",
        rf"{_SWIN_BLOCK}layernorm_after": f"{_SWIN}.pre_norm_2.branch.layer_normalization",
        rf"{_DOWN}norm": "stage{1+2}.merging.layer_normalization",
        r"(?:swin\.)?layernorm": "encoded",
    }),
    *_dense({
        rf"{_SWIN_BLOCK}attention\.(?:self\.query|q_proj)": f"{_WINDOW}.biased_attention.q.dense",
        rf"{_SWIN_BLOCK}attention\.(?:self\.key|k_proj)": f"{_WINDOW}.biased_attention.k.dense",
        rf"{_SWIN_BLOCK}attention\.(?:self\.value|v_proj)": f"{_WINDOW}.biased_attention.v.dense",
        rf"{_SWIN_BLOCK}attention\.(?:output\.dense|o_proj)": f"{_WINDOW}.biased_attention.output",
        rf"{_SWIN_BLOCK}(?:intermediate\.dense|mlp\.fc1)": f"{_SWIN}.pre_norm_2.branch.mlp.dense",
        rf"{_SWIN_BLOCK}(?:output\.dense|mlp\.fc2)": f"{_SWIN}.pre_norm_2.branch.mlp.dense_2",
        rf"{_DOWN}reduction": "stage{1+2}.merging.dense",
        "classifier": "predictions",
    }),
    *_unneeded(r".*\.relative_position_index"),
)  # fmt: skip

_CLIP_NAMES = {
    "query": r"self_attn\.q_proj",
    "key": r"self_attn\.k_proj",
    "value": r"self_attn\.v_proj",
    "output": r"self_attn\.out_proj",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "mlp1": r"mlp\.fc1",
    "mlp2": r"mlp\.fc2",
}
CLIP = (
    *_conv({r"vision_model\.embeddings\.patch_embedding": "image_features.patches.conv2d"}),
    *_arrays({
        r"vision_model\.embeddings\.class_embedding": "image_features.class_token.token.weight/weight",
        r"vision_model\.embeddings\.position_embedding\.weight": "image_features.positions.table.weight/weight",
        r"text_model\.embeddings\.token_embedding\.weight": "text_features.words/embeddings",
        r"text_model\.embeddings\.position_embedding\.weight": "text_features.positions.table.weight/weight",
        "logit_scale": "logit_scale/weight",
    }),
    *_encoder(r"vision_model\.encoder\.layers\.(\d+)\.", "image_features.encoder.layer{1+1}", _CLIP_NAMES),
    *_encoder(r"text_model\.encoder\.layers\.(\d+)\.", "text_features.encoder.layer{1+1}", _CLIP_NAMES),
    *_norms({
        r"vision_model\.pre_layrnorm": "image_features.embedding_norm",
        r"vision_model\.post_layernorm": "image_features.norm",
        r"text_model\.final_layer_norm": "text_features.norm",
    }),
    *_dense({"visual_projection": "image_features.projection", "text_projection": "text_features.projection"}),
    *_unneeded(r"(?:text|vision)_model\.embeddings\.position_ids"),
)  # fmt: skip


def _resnet(block: str) -> tuple[Rule, ...]:
    place = r"(?:resnet\.)?encoder\.stages\.(\d+)\.layers\.(\d+)\."
    unit = f"stage{{1+1}}.{block}{{2+1}}.unit"
    return (
        *_conv({
            rf"{place}layer\.(\d)\.convolution": f"{unit}.residual.conv_bn{{3+1#}}.conv.conv2d",
            rf"{place}shortcut\.convolution": f"{unit}.shortcut.resized.conv.conv2d",
        }),
        *_batch_norms({
            rf"{place}layer\.(\d)\.normalization": f"{unit}.residual.conv_bn{{3+1#}}.bn.batch_normalization",
            rf"{place}shortcut\.normalization": f"{unit}.shortcut.bn.batch_normalization",
        }),
    )  # fmt: skip


RESNET = (
    *_conv({r"(?:resnet\.)?embedder\.embedder\.convolution": "conv.conv2d"}),
    *_batch_norms({r"(?:resnet\.)?embedder\.embedder\.normalization": "bn_relu.bn.batch_normalization"}),
    *_resnet("basic"),
    *_resnet("bottleneck"),
    *_dense({r"classifier\.1": "top.dense"}),
    *_unneeded(r".*\.num_batches_tracked"),
)

MAPPINGS: Mapping[str, Sequence[Rule]] = {
    "hugging_face_bert": BERT,
    "hugging_face_gpt2": GPT2,
    "hugging_face_t5": T5,
    "hugging_face_vit": VIT,
    "hugging_face_deit": DEIT,
    "hugging_face_swin": SWIN,
    "hugging_face_clip": CLIP,
    "hugging_face_resnet": RESNET,
}
