"""A batch divided among its members, whatever their sizes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from calumma.sidecar import batches

INSTANCES = st.lists(
    st.lists(st.integers() | st.text() | st.none(), min_size=1, max_size=5), min_size=1, max_size=8
)


@given(INSTANCES)
def test_every_member_gets_the_predictions_of_its_own_instances(
    members: list[list[object]],
) -> None:
    asked = json.loads(batches.request(members))["instances"]
    reply = json.dumps({"predictions": [[each] for each in asked]}).encode()
    sizes = [len(member) for member in members]
    answers = [json.loads(each) for each in batches.answers(200, reply, sizes, "b-1")]
    for member, answer in zip(members, answers, strict=True):
        predictions = [[each] for each in member]
        assert answer == {"message": "", "batchId": "b-1", "predictions": predictions}


def test_only_the_predict_verb_at_the_end_is_batched() -> None:
    assert batches.applies(b"/v1/models/iris:predict")
    for path in (b"/v1/models/iris:explain", b"/v1/models/iris:predict/", b"/v2/models/m/infer"):
        assert not batches.applies(path)
