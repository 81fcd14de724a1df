"""Each request to a canary and its stable revision is counted once, and at the right one."""

from __future__ import annotations

import math
import time
from collections import Counter

from calumma.monitoring import client, counting, queries
from support.cluster import Cluster, image


def test_requests_are_counted_where_they_went(digits_service: Cluster) -> None:
    """Sent in three bursts, the second of which nobody can decode; looks are as frequent."""
    cluster = digits_service
    cluster.canary("v2", 40)
    watch = client.Client(f"http://127.0.0.1:{cluster.settings()['prometheus_port']}")
    picture, _ = image()
    went: Counter[str] = Counter()
    looks: list[counting.Counted] = []
    revisions = ("digits-predictor-00001", "digits-predictor-00002")

    def look() -> counting.Counted:
        begin = looks[-1].end if looks else began
        return counting.read(watch, "digits", "default", revisions, begin=begin, end=time.time())

    def counted(moment: float) -> bool:
        looks.append(look())
        return looks[-1].end > moment + 5  # what was flushed, scraped and evaluated

    began = time.time()
    cluster.until("known", lambda: counted(began))
    for burst in range(3):
        for _ in range(40):
            answer = cluster.post(b"{}") if burst == 1 else cluster.predict(picture)
            assert answer.status_code == (400 if burst == 1 else 200)
            if burst != 1:
                went[answer.headers["x-calumma-predictor-revision"]] += 1
    sent = time.time()
    cluster.until("counted", lambda: counted(sent))
    for revision in revisions:
        counts = [each.revisions[revision] for each in looks]
        assert sum(each.requests for each in counts) == went[revision] > 10
        assert sum(each.errors for each in counts) == 0
        assert sum(each.at_most[math.inf] for each in counts if each.at_most) == went[revision]
    assert not looks[-1].troubles
    door = counting.read(
        watch,
        "digits",
        "default",
        ["digits-transformer-00001"],
        component="transformer",
        begin=began,
        end=time.time(),
    )
    assert door.revisions["digits-transformer-00001"].requests == 120
    # the dashboards' queries know both revisions by the same names
    where = queries.where(service="digits", component="predictor")
    assert set(watch.values(queries.request_rate(where, "1m"))) == set(revisions)
