"""GJSON's documented behaviour, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calumma import errors
from calumma.graph import gjson, syntax

DOCUMENT = {
    "species": {"genus": "Calumma", "epithet": "parsonii"},
    "grams": 700,
    "colours": ["green", "yellow", "turquoise"],
    "tail.length": 34.5,
    "wild*card": "star",
    "eggs": None,
    "keepers": [
        {"first": "Ada", "last": "Rao", "age": 44, "sites": ["north", "coast", "lab"]},
        {"first": "Bo", "last": "Lind", "age": 68, "sites": ["coast", "lab"]},
        {"first": "Cy", "last": "Rao", "age": 47, "sites": ["north", "lab"]},
    ],
}
MISSING = gjson.MISSING


def get(path: str, document: Any = DOCUMENT) -> Any:
    return gjson.get(syntax.parse(path), document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("species.epithet", "parsonii"),
        ("grams", 700),
        ("colours.1", "yellow"),
        ("colours.01", "yellow"),
        ("colours.3", MISSING),
        ("colours.first", MISSING),
        ("keepers.1.first", "Bo"),
        ("eggs", None),
        ("nothing", MISSING),
        ("grams.more", MISSING),
        ("", MISSING),
        ("species.", MISSING),
        (r"tail\.length", 34.5),
        ("tail.length", MISSING),
        (r"wild\*card", "star"),
        ("col*.2", "turquoise"),
        ("c?lours.0", "green"),
        ("spec*.gen?s", "Calumma"),
        ("*length", 34.5),
    ],
)
def test_keys_indices_and_wildcards(path: str, value: Any) -> None:
    assert get(path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("keepers.#", 3),
        ("keepers.#.age", [44, 68, 47]),
        ("keepers.#.none", []),
        ("keepers.#.sites.#", [3, 2, 2]),
        ("species.#", MISSING),
        ("keepers|#", 3),
        ("keepers.#.first|1", "Bo"),
        ("keepers.#.sites|#", 3),
        ("keepers.#.sites.0|@reverse", ["north", "coast", "north"]),
    ],
)
def test_elements_of_arrays(path: str, value: Any) -> None:
    assert get(path) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ('keepers.#(last=="Rao").first', "Ada"),
        ("keepers.#(last==Rao).first", "Ada"),
        ('keepers.#(last="Rao")#.first', ["Ada", "Cy"]),
        ('keepers.#[last="Rao"]#.first', ["Ada", "Cy"]),
        ("keepers.#(age>45)#.first", ["Bo", "Cy"]),
        ("keepers.#(age<=47)#.first", ["Ada", "Cy"]),
        ("keepers.#(age >= 68).first", "Bo"),
        ("keepers.#(age!=44)#.first", ["Bo", "Cy"]),
        ('keepers.#(first<"B").first', "Ada"),
        ('keepers.#(first%"?y").age', 47),
        ('keepers.#(first!%"A*")#.first', ["Bo", "Cy"]),
        ('keepers.#(sites.#(=="coast"))#.first', ["Ada", "Bo"]),
        ('colours.#(%"*o*")#', ["yellow", "turquoise"]),
        ('colours.#(!%"*e*")', MISSING),
        ('colours.#(=="green")', "green"),
        ("keepers.#(pet)", MISSING),
        ("keepers.#(pet)#", []),
        ("keepers.#(sites)#.first", ["Ada", "Bo", "Cy"]),
        ('keepers.#(last="Rao")#|first', MISSING),
        ('keepers.#(last="Rao")#|0.first', "Ada"),
        ('keepers.#(last="Rao")#|#', 2),
        ('keepers.#(last="Rao")#.#', []),
        ("species.#(genus)", MISSING),
        ('keepers.#(first=="Bo").sites.0', "coast"),
    ],
)
def test_queries(path: str, value: Any) -> None:
    assert get(path) == value


VALUES = ["data", True, False, "0", 0, "1", 1, "True", None, MISSING, []]
ODD = [{"n": n} if v is MISSING else {"n": n, "v": v} for n, v in enumerate(VALUES)]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("v==~true", [1, 5, 6, 7]),
        ("v==~false", [2, 3, 4, 8, 9]),
        ("v==~null", [8, 9]),
        ("v==~*", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]),
        ("v!=~*", [9]),
        ("v==~else", []),
        ("v==true", [1, 4]),
        ("v!=true", [0, 2, 3, 5, 6, 7]),
        ("v>false", [1, 6]),
        ("v<=true", [0, 2, 3, 4, 5, 7]),
        ("v==0", [3, 4]),
        ("v==1", [5, 6]),
        ("v==null", [4]),
        ("v<5", [3, 4, 5, 6]),
    ],
)
def test_comparison_by_the_type_that_is_found(condition: str, found: list[int]) -> None:
    """A text that is no number, such as ``true``, counts as 0 among numbers."""
    assert get(f"#({condition})#.n", ODD) == found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("@this.grams", 700),
        ("@this", DOCUMENT),
        ("colours.@reverse", ["turquoise", "yellow", "green"]),
        ("colours|@reverse|0", "turquoise"),
        ("colours.@reverse.0", "turquoise"),
        ("species.@keys", ["genus", "epithet"]),
        ("species.@values.1", "parsonii"),
        ("species.@reverse.@keys", ["epithet", "genus"]),
        ("keepers.#.sites.@flatten|1", ["coast", "lab"]),
        ("keepers.#.sites|@flatten|#", 7),
        ("colours.@tostr", '["green","yellow","turquoise"]'),
        ("colours.@tostr.@fromstr.1", "yellow"),
        ("grams.@pretty", 700),
        ("[grams,species.genus]", [700, "Calumma"]),
        ("[grams,nothing]", [700]),
        ("[nothing]", []),
        ('{grams,species.genus,"who":keepers.#.first}', {
            "grams": 700, "genus": "Calumma", "who": ["Ada", "Bo", "Cy"]}),
        ('{"a":!"text",keepers.#(age>45)#}', {"a": "text", "_": DOCUMENT["keepers"][1:]}),  # type: ignore[index]
        ("[@this].#(grams==700).species.genus", "Calumma"),
        ("[@this].#(grams==701)", MISSING),
        ("!true", True),
        ("species.[genus,epithet]|1", "parsonii"),
    ],
)  # fmt: skip
def test_modifiers_multipaths_and_literals(path: str, value: Any) -> None:
    assert get(path) == value


def test_an_unknown_modifier_is_a_key() -> None:
    assert get("@type", {"@type": "Reptile"}) == "Reptile"


@pytest.mark.parametrize("decision", ["ERROR", "SUCCESS"])
def test_the_conditions_of_kserves_own_tests(decision: str) -> None:
    path = syntax.parse(f"[@this].#(decision_picker=={decision})")
    assert gjson.exists(path, {"decision_picker": decision})
    assert not gjson.exists(path, {"decision_picker": "OTHER"})
    assert not gjson.exists(path, [])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("..0.a", "JSON lines are not read here"),
        ("a.@join", "has the modifier @join; known here are @flatten"),
        ('@pretty:{"sortKeys":true}', "gives @pretty an argument"),
        ("a.#(b==1", r"does not close the '\('"),
        ("[a,b", r"does not close the '\['"),
        ("[a]b", "has 'b' where"),
        ("a.#(b!c)", "compares by '!'"),
        ("!nonsense", "a literal after `!` that is no JSON"),
    ],
)
def test_what_is_not_evaluated_is_refused_by_name(path: str, why: str) -> None:
    with pytest.raises(errors.GraphError, match=why):
        syntax.parse(path)


SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab#0", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(text=st.text('ab#0.|*?()[]{}=<>!%~"\\@this,:', max_size=14), document=DOCUMENTS)
def test_any_text_is_a_path_or_refused_and_never_fails_on_a_document(
    text: str, document: Any
) -> None:
    try:
        path = syntax.parse(text)
    except errors.GraphError:
        return
    gjson.exists(path, document)


@given(key=st.text(min_size=1, max_size=5), value=SCALARS)
def test_an_escaped_key_finds_itself(key: str, value: Any) -> None:
    escaped = "".join(f"\\{character}" for character in key)
    assert gjson.get(syntax.parse(escaped), {"another key": 1, key: value}) == value
