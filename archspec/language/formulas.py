"""A formula as written → `Formula`: names of tensors become arguments, params and shapes become numbers."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from archspec.diagnostics import did_you_mean
from archspec.language.expressions import FUNCTIONS, ExpressionError, evaluate, parse
from archspec.language.limits import Limits
from archspec.language.scope import Body, Value
from archspec.layers.ops import functions

Lookup = Callable[[str], Any]


def translate(text: str, lookup: Lookup, limits: Limits) -> tuple[str, dict[str, Value]]:
    """The formula's text over its arguments alone, and the tensors that they are. Raises ExpressionError."""
    text = text.strip().replace("\n", " ")
    translator = _Translator(text, lookup, limits)
    tree = translator.visit(_copy(parse(text)))  # parsed trees are cached
    return ast.unparse(tree), translator.arguments


def _copy(node: Any) -> Any:
    if isinstance(node, list):
        return [_copy(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: _copy(value) for name, value in ast.iter_fields(node)}
    return ast.copy_location(type(node)(**fields), node)


class _Translator(ast.NodeTransformer):
    def __init__(self, text: str, lookup: Lookup, limits: Limits) -> None:
        self.text, self.lookup, self.limits = text, lookup, limits
        self.arguments: dict[str, Value] = {}

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Parts that hold no tensor are numbers already."""
        if isinstance(node, ast.BinOp | ast.UnaryOp | ast.Call | ast.Subscript | ast.Compare) and self.is_constant(
            node
        ):
            return self.constant(node)
        return super().generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.check_function(node)
        if self.is_constant(node):
            return self.constant(node)
        node.args = [self.visit(argument) for argument in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        return node

    def check_function(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in FUNCTIONS and (name not in functions() or name.endswith("_macs")):
            help = did_you_mean(name, functions()) or "archspec layers --ops lists the functions"
            raise ExpressionError(f"there is no function {name}", help, node.func.col_offset, node.func.end_col_offset)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        found = self.attempt(node)
        return self.argument(ast.unparse(node), found, node) if isinstance(found, Value) else _literal(found, node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self.attempt(node)
        if isinstance(found, Value):
            return self.argument(node.id, found, node)
        if isinstance(found, Body):
            raise ExpressionError(f"{node.id} is a list of steps", None, node.col_offset, node.end_col_offset)
        return _literal(found, node)

    def attempt(self, node: ast.expr) -> Any:
        """The value of a name, with dots or without."""
        text = " " * node.col_offset + (ast.get_source_segment(self.text, node) or ast.unparse(node))
        return evaluate(text, self.lookup, self.limits)

    def argument(self, name: str, value: Value, node: ast.expr) -> ast.AST:
        """The argument for a tensor, one for each."""
        known = next((a for a, v in self.arguments.items() if v.edges[:1] == value.edges[:1] and v.edges), None)
        if known is None:
            known = name.replace(".", "_")
            while known in self.arguments:
                known += "_"
            self.arguments[known] = value
        return ast.copy_location(ast.Name(known, ast.Load()), node)

    def is_constant(self, node: ast.AST) -> bool:
        """Whether it holds names, no tensor as such, and only calls that expressions know."""
        used = False
        for part in ast.walk(node):
            if isinstance(part, ast.Call) and not (isinstance(part.func, ast.Name) and part.func.id in FUNCTIONS):
                return False
            used = used or isinstance(part, ast.Name)
        return used and not self.tensors(node)

    def tensors(self, node: ast.AST) -> bool:
        """Whether a tensor is used but for its shape."""
        if isinstance(node, ast.Attribute):
            return isinstance(self.attempt(node), Value)
        if isinstance(node, ast.Name):
            return node.id not in FUNCTIONS and isinstance(self.attempt(node), Value)
        return any(self.tensors(child) for child in ast.iter_child_nodes(node))

    def constant(self, node: ast.expr) -> ast.AST:
        return _literal(self.attempt(node), node)


def _literal(value: Any, node: ast.expr) -> ast.AST:
    """The tree of a plain value."""
    return ast.copy_location(ast.parse(repr(value), mode="eval").body, node)
