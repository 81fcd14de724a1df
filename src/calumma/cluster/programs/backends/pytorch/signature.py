"""How a configuration's tensors become the arguments and results of a TorchScript ``forward``.

NVIDIA's rules. An input is found by the name of an argument of ``forward``; where a configured
name is no argument, by the number in ``<name>__<number>``; where a name has no number either, the
order of the configuration decides. A ``forward`` of one ``Dict[str, Tensor]`` gets the inputs by
their names. An output is found by its number, or by the order. Strings are lists, which have one
dimension.

Guarantees: a configuration that does not fit is refused with a sentence that names the model, the
tensor, what was found and what is accepted. Pure; imported by ``model.py`` and, beside it in
Triton's backend directory as ``calumma_signature.py``, by :mod:`torchscript`, which is next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from calumma.cluster.programs.backends import batching
else:
    import calumma_batching as batching

# Torch's element types and Triton's, as NVIDIA's backend pairs them.
TYPES = {
    "bool": "TYPE_BOOL",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int16": "TYPE_INT16",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "float64": "TYPE_FP64",
}

# What an argument or a result may be, and the types that a configuration gives it.
TENSOR, TEXTS, NAMED = "Tensor", "List[str]", "Dict[str, Tensor]"
CARRIED = {TENSOR: tuple(TYPES.values()), TEXTS: ("TYPE_STRING",)}


class Value(NamedTuple):
    """An argument of ``forward`` or one of its results, with TorchScript's type."""

    name: str
    type: str


class Output(NamedTuple):
    """A configured output: its place among the results of ``forward``, and its Triton type."""

    place: int
    type: str


def refuse_what_is_not_built(config: batching.Config) -> None:
    """Raise :class:`batching.Refused` where a configuration by itself cannot be served."""
    name = config["name"]
    if not config["default_model_filename"]:  # Triton sets it for every other runtime
        raise batching.Refused(
            f"Model '{name}' asks for the runtime 'model.py', which this pytorch backend does not "
            'have; it serves TorchScript files. A model in Python has backend: "python".'
        )
    if config.get("sequence_batching", {}).get("state"):
        raise batching.Refused(
            f"Model '{name}' asks for implicit state (sequence_batching.state), which this "
            "pytorch backend does not have; remove it."
        )
    for kind in ("input", "output"):
        if not config[kind]:
            raise batching.Refused(
                f"Model '{name}' configures no {kind}; a TorchScript file does not tell the types "
                f"and shapes of its tensors, so config.pbtxt needs each {kind}."
            )
        for entry in config[kind]:
            _check_type(config, kind, entry)


def strings(config: batching.Config) -> frozenset[str]:
    """The names of the inputs of strings."""
    entries = config["input"]
    return frozenset(each["name"] for each in entries if each["data_type"] == "TYPE_STRING")


def inputs(config: batching.Config, arguments: Sequence[Value]) -> list[str] | None:
    """The inputs in the order of the arguments; ``None`` where one dictionary takes them all."""
    entries = _entries(config)
    says = f"Model '{config['name']}'"
    if [argument.type for argument in arguments] == [NAMED]:
        for name, type_ in entries.items():
            _agree(f"{says} configures input '{name}'", type_, TENSOR)
        return None
    listed = ", ".join(f"{argument.name}: {argument.type}" for argument in arguments)
    if unknown := [each.type for each in arguments if each.type not in CARRIED]:
        raise batching.Refused(
            f"{says} has a forward({listed}); {unknown[0]} is not among what the pytorch backend "
            f"can give it: {', '.join(CARRIED)}, or one {NAMED}."
        )
    if len(arguments) != len(entries):
        raise batching.Refused(
            f"{says} configures {len(entries)} inputs ({', '.join(entries)}); its "
            f"forward({listed}) takes {len(arguments)}."
        )
    places = {argument.name: place for place, argument in enumerate(arguments)}
    if set(entries) != set(places):
        places = _places(list(entries), says, "input", len(entries))
    for name, place in places.items():
        _agree(f"{says} configures input '{name}'", entries[name], arguments[place].type)
    return sorted(places, key=lambda name: places[name])


def outputs(config: batching.Config, results: Sequence[str]) -> dict[str, Output]:
    """Which result of ``forward`` each output is; ``results`` are their TorchScript types."""
    says = f"Model '{config['name']}'"
    if unknown := [each for each in results if each not in CARRIED]:
        raise batching.Refused(
            f"{says} has a forward() that returns {unknown[0]}; the pytorch backend takes "
            f"{', '.join(CARRIED)}, or a tuple of them."
        )
    types = {entry["name"]: entry["data_type"] for entry in config["output"]}
    places = _places(list(types), says, "output", len(results))
    for name, place in places.items():
        _agree(f"{says} configures output '{name}'", types[name], results[place])
    return {name: Output(place, types[name]) for name, place in places.items()}


def _check_type(config: batching.Config, kind: str, entry: Mapping[str, Any]) -> None:
    says = f"Model '{config['name']}' configures {kind} '{entry['name']}'"
    known = [type_ for types in CARRIED.values() for type_ in types]
    if entry["data_type"] not in known:
        raise batching.Refused(
            f"{says} as {entry['data_type']}; the pytorch backend carries {', '.join(known)}."
        )
    dims = entry.get("reshape", {}).get("shape", entry["dims"])
    rank = len(dims) + (config["max_batch_size"] > 0)
    if entry["data_type"] == "TYPE_STRING" and rank != 1:
        raise batching.Refused(
            f"{says} of strings with {rank} dimensions, the batch's included; TorchScript has "
            "lists of strings, which have one."
        )


def _entries(config: batching.Config) -> dict[str, str]:
    """Names and types of all inputs: the configured ones, and the sequence batcher's."""
    entries = {entry["name"]: entry["data_type"] for entry in config["input"]}
    for tensor in config.get("sequence_batching", {}).get("control_input", []):
        control = tensor["control"][0]
        pairs = [key for key, values in control.items() if key.endswith("_false_true") and values]
        made = f"TYPE_{pairs[0].split('_')[0].upper()}" if pairs else control["data_type"]
        entries[tensor["name"]] = made
    return entries


def _places(names: Sequence[str], says: str, kind: str, size: int) -> dict[str, int]:
    """The place of each tensor among ``size`` arguments or results, by its number or its order."""
    numbers = [name.partition("__")[2] for name in names]
    numbered = all(number.isdecimal() for number in numbers)
    places = [int(number) if numbered else order for order, number in enumerate(numbers)]
    for name, place in zip(names, places, strict=True):
        if place >= size:
            what = "takes arguments" if kind == "input" else "returns results"
            raise batching.Refused(
                f"{says} configures {kind} '{name}', number {place}; its forward() {what} 0 to "
                f"{size - 1}."
            )
        if kind == "input" and places.count(place) > 1:
            raise batching.Refused(f"{says} configures two inputs with the number {place}.")
    return dict(zip(names, places, strict=True))


def _agree(says: str, type_: str, take: str) -> None:
    if type_ not in CARRIED[take]:
        raise batching.Refused(
            f"{says} as {type_}; forward() has {take} there, which is {', '.join(CARRIED[take])}."
        )
