"""Preparing what a vocabulary lists: integers, strings, text.

A vocabulary stands in the spec itself, never in a file that the spec names: specs are not trusted to read files.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from annotated_types import Gt
from pydantic import model_validator
from pydantic_core import PydanticCustomError

from archspec.layers.base import Example
from archspec.layers.encoding import Encoding, Salt
from archspec.layers.fields import NonNegative, Positive
from archspec.layers.nesting import NotEmpty
from archspec.layers.objects.base import Finite
from archspec.layers.shapes import argument_clash
from archspec.tensor import ShapeError, TensorType

TextEncoding = Literal["utf-8", "utf-16", "utf-32", "ascii", "latin-1"]
Token = str | int
MaxTokens = Annotated[int, Gt(1)] | None
_COUNTING = ("multi_hot", "count", "tf_idf")


class _Vocabulary(Encoding):
    """What the layers with a vocabulary share. It stands in the spec, or is found by adapting."""

    ADAPTS = True
    NAME_OF_TERM: ClassVar[str] = "strings"

    if TYPE_CHECKING:  # each class declares it itself, to have Keras's first argument first
        max_tokens: MaxTokens
    idf_weights: tuple[Finite, ...] | None = None
    output_mode: Literal["int", "one_hot", "multi_hot", "count", "tf_idf"] = "int"
    pad_to_max_tokens: bool = False

    @model_validator(mode="before")
    @classmethod
    def _refuse_files(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and "vocabulary" in data and isinstance(data["vocabulary"], str):
            raise PydanticCustomError(
                "vocabulary_file",
                "vocabulary is a list of {terms}: a spec cannot have a file read for it",
                {"terms": cls.NAME_OF_TERM},
            )
        return data

    @model_validator(mode="after")
    def _check_vocabulary(self) -> Self:
        if self.pad_to_max_tokens and self.max_tokens is None:
            raise argument_clash("pad_to_max_tokens needs max_tokens")
        if self.idf_weights is not None and self.output_mode != "tf_idf":
            raise argument_clash("idf_weights need output_mode tf_idf")
        terms = self._terms()
        if terms is None:
            return self
        if self.output_mode == "tf_idf" and len(self.idf_weights or ()) != len(terms):
            raise argument_clash(
                f"output_mode tf_idf needs one of idf_weights for each of the {len(terms)} terms of the vocabulary, "
                f"got {len(self.idf_weights or ())}"
            )
        special, tokens = self._split(terms)
        repeated = [token for token, count in Counter(tokens).items() if count > 1]
        if repeated:
            raise argument_clash(f"the vocabulary has {repeated[0]!r} more than once")
        for token in self._reserved():
            if token in tokens:
                raise argument_clash(f"{token!r} stands for something else: leave it out of the vocabulary")
        if self.max_tokens is not None and special + len(tokens) > self.max_tokens:
            raise argument_clash(
                f"max_tokens is {self.max_tokens}, but the vocabulary has {special + len(tokens)} terms with those for "
                "masks and what is unknown"
            )
        return self

    def _terms(self) -> tuple[Token, ...] | None:
        raise NotImplementedError

    def _masks(self) -> tuple[Token, ...]:
        """The token for masked places, if there is one."""
        raise NotImplementedError

    def _unknown(self) -> tuple[Token, int]:
        """The token for what is not in the vocabulary, and how many indices it has."""
        raise NotImplementedError

    def _reserved(self) -> tuple[Token, ...]:
        """Tokens that the vocabulary may have at its start only."""
        return self._masks()

    def _split(self, terms: tuple[Token, ...]) -> tuple[int, tuple[Token, ...]]:
        """How many indices come before the vocabulary's own, and the terms without those that stand for them."""
        masks = self._masks() if self.output_mode == "int" else ()
        unknown, count = self._unknown()
        special = len(masks) + count
        start = terms[:special]
        listed = len(start) == special and start[: len(masks)] == masks and set(start[len(masks) :]) <= {unknown}
        return special, terms[special:] if listed else terms

    def _depth(self) -> int:
        """The length of a vector. Raises ShapeError where the vocabulary is not known."""
        if self.pad_to_max_tokens and self.max_tokens is not None:
            return self.max_tokens
        terms = self._terms()
        if terms is None:
            raise ShapeError(
                f"{type(self).__name__} with output_mode {self.output_mode} needs a vocabulary of known size",
                help="give the vocabulary, or max_tokens with pad_to_max_tokens: true",
            )
        special, tokens = self._split(terms)
        return special + len(tokens)

    def _vectors(self, inputs: TensorType) -> TensorType:
        depth = self._depth()
        counted = self.output_mode in _COUNTING
        return TensorType(self.counted(inputs, depth) if counted else self.one_hot(inputs.shape, depth))


class _Lookup(_Vocabulary):
    """What the look-ups of single values share."""

    num_oov_indices: NonNegative = 1
    invert: bool = False
    salt: Salt | None = None

    @model_validator(mode="after")
    def _check_invert(self) -> Self:
        if self.invert and self.output_mode != "int":
            raise argument_clash("invert needs output_mode int")
        return self

    def _reserved(self) -> tuple[Token, ...]:
        return (*self._masks(), self._unknown()[0]) if self.invert else self._masks()


class IntegerLookup(_Lookup):
    """The index of an integer in a vocabulary, or vectors of them; back with invert.

    Shape: unchanged; with one_hot (…) → (…, terms), a last axis of length 1 gives way; otherwise (values,) → (terms,).
    Weights: none that Keras counts.
    MACs: 0.
    Errors: vectors need a vocabulary of known size; multi_hot, count and tf_idf need one axis.
    """

    NAME_OF_TERM = "integers"
    FIRST = "max_tokens"
    EXAMPLES = (
        Example({"vocabulary": [3, 5, 7], "mask_token": 0}, (TensorType((4,), "int64"),), values=9),
        Example({"vocabulary": [3, 5], "output_mode": "one_hot"}, (TensorType((4,), "int64"),), values=9),
        Example({"vocabulary": [3, 5], "invert": True}, (TensorType((4,), "int64"),)),
        Example(
            {"max_tokens": 9, "pad_to_max_tokens": True, "vocabulary": [3, 5], "output_mode": "tf_idf"}
            | {"idf_weights": [0.5, 2.0]},
            (TensorType((4,), "int64"),),
        ),
    )

    max_tokens: MaxTokens = None
    mask_token: int | None = None
    oov_token: int = -1
    vocabulary: Annotated[tuple[int, ...], NotEmpty] | None = None
    vocabulary_dtype: Literal["int64"] = "int64"
    oov_method: Literal["floormod", "farmhash"] = "floormod"

    @model_validator(mode="after")
    def _check_salt(self) -> Self:
        if self.salt is not None and self.oov_method != "farmhash":
            raise argument_clash("salt needs oov_method farmhash")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        return TensorType(inputs.shape, "int64") if self.output_mode == "int" else self._vectors(inputs)

    def _terms(self) -> tuple[Token, ...] | None:
        return self.vocabulary

    def _masks(self) -> tuple[Token, ...]:
        return () if self.mask_token is None else (self.mask_token,)

    def _unknown(self) -> tuple[Token, int]:
        return self.oov_token, self.num_oov_indices


class StringLookup(_Lookup):
    """The index of a string in a vocabulary, or vectors of them; back with invert.

    Shape: unchanged; with one_hot (…) → (…, terms), a last axis of length 1 gives way; otherwise (values,) → (terms,).
    Weights: none that Keras counts.
    MACs: 0.
    Errors: vectors need a vocabulary of known size; multi_hot, count and tf_idf need one axis.
    """

    FIRST = "max_tokens"
    EXAMPLES = (
        Example({"vocabulary": ["a", "b"], "mask_token": ""}, (TensorType((4,), "string"),)),
        Example({"vocabulary": ["[UNK]", "a"], "output_mode": "multi_hot"}, (TensorType((4,), "string"),)),
        Example({"vocabulary": ["a"], "num_oov_indices": 2, "output_mode": "one_hot"}, (TensorType((4, 1), "string"),)),
        Example({"max_tokens": 9, "vocabulary": ["a"], "encoding": "latin-1"}, (TensorType((), "string"),)),
    )

    max_tokens: MaxTokens = None
    mask_token: str | None = None
    oov_token: str = "[UNK]"
    vocabulary: Annotated[tuple[str, ...], NotEmpty] | None = None
    encoding: TextEncoding = "utf-8"

    def infer(self, inputs: TensorType) -> TensorType:
        if self.output_mode == "int":
            return TensorType(inputs.shape, "string" if self.invert else "int64")
        return self._vectors(inputs)

    def _terms(self) -> tuple[Token, ...] | None:
        return self.vocabulary

    def _masks(self) -> tuple[Token, ...]:
        return () if self.mask_token is None else (self.mask_token,)

    def _unknown(self) -> tuple[Token, int]:
        return self.oov_token, self.num_oov_indices


class TextVectorization(_Vocabulary):
    """Text as the indices of its words in a vocabulary, or as a vector of them.

    Shape: () or (1,) → (output_sequence_length,); () → (words, terms) with one_hot, (terms,) with multi_hot, count and
    tf_idf. Without split a word for each entry: (words,) in place of ().
    Weights: none that Keras counts.
    MACs: 0.
    Errors: text is one string an example; vectors need a vocabulary of known size.
    """

    FIRST = "max_tokens"
    EXAMPLES = (
        Example({"output_sequence_length": 6, "vocabulary": ["a", "b"]}, (TensorType((1,), "string"),)),
        Example({"vocabulary": ["a", "b"], "ngrams": 2, "output_sequence_length": 4}, (TensorType((), "string"),)),
        Example({"vocabulary": ["", "[UNK]", "a"], "output_sequence_length": 3}, (TensorType((), "string"),)),
        Example({"vocabulary": ["a", "b"], "output_mode": "multi_hot"}, (TensorType((), "string"),)),
        Example({"vocabulary": ["a", "b"], "output_mode": "one_hot"}, (TensorType((), "string"),)),
        Example({"vocabulary": ["a"], "output_mode": "count", "split": None}, (TensorType((4,), "string"),)),
    )

    max_tokens: MaxTokens = None
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = (
        "lower_and_strip_punctuation"
    )
    split: Literal["whitespace", "character"] | None = "whitespace"
    ngrams: Positive | Annotated[tuple[Positive, ...], NotEmpty] | None = None
    output_sequence_length: Positive | None = None
    vocabulary: Annotated[tuple[str, ...], NotEmpty] | None = None
    ragged: bool = False
    encoding: TextEncoding = "utf-8"

    @model_validator(mode="after")
    def _check_modes(self) -> Self:
        if self.output_mode != "int" and (self.ragged or self.output_sequence_length is not None):
            raise argument_clash("output_sequence_length and ragged need output_mode int")
        if self.output_mode == "one_hot" and self.ngrams is not None and self.split is None:
            raise argument_clash("ngrams with output_mode one_hot need split")
        return self

    def infer(self, inputs: TensorType) -> TensorType:
        if self.split is None:
            if self.output_mode != "int":
                return self._vectors(inputs)
            if inputs.rank != 1:
                raise ShapeError(f"TextVectorization without split needs (words,), got {inputs}")
            return TensorType((self.output_sequence_length,), "int64")
        if inputs.shape != () and (inputs.shape != (1,) or self.output_mode != "int"):
            allowed = "() or (1,)" if self.output_mode == "int" else "()"
            raise ShapeError(
                f"TextVectorization with output_mode {self.output_mode} needs one string an example, "
                f"{allowed}, got {inputs}",
                help="declare the input as {shape: [], dtype: string}, or leave out split: split: null",
            )
        if self.output_mode == "int":
            return TensorType((self.output_sequence_length,), "int64")
        return self._vectors(TensorType((None,), "string"))

    def _terms(self) -> tuple[Token, ...] | None:
        return self.vocabulary

    def _masks(self) -> tuple[Token, ...]:
        return ("",)

    def _unknown(self) -> tuple[Token, int]:
        return "[UNK]", 1
