"""What programs leave for Prometheus is served by the node, and no file can break another's."""

from __future__ import annotations

import logging
import os
import urllib.request
from pathlib import Path

import prometheus_client
import pytest

from calumma.cluster.node import textfiles

GOOD = """\
# HELP a_metric What it is.
# TYPE a_metric gauge
a_metric{of="x"} 1.5
# TYPE runs_total counter
runs_total 7
"""


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path / "metrics")


class Served:
    """A registry with a metric of its own, and the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = prometheus_client.CollectorRegistry()
        own = prometheus_client.Gauge("own_metric", "The node's.", registry=self.registry)
        own.set(3)
        self.registry.register(textfiles.Collector(folder, {"own_metric"}))

    def put(self, name: str, text: str | bytes) -> Path:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"{name}.prom"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def ask(self) -> str:
        """The samples, by a real scrape."""
        server, thread = prometheus_client.start_http_server(0, "127.0.0.1", self.registry)
        try:
            url = f"http://127.0.0.1:{server.server_port}/metrics"
            with urllib.request.urlopen(url, timeout=5) as response:
                text: str = response.read().decode()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
        return text


def test_without_a_folder_there_is_only_what_is_the_nodes(served: Served) -> None:
    assert "own_metric 3.0" in served.ask() and "textfile_error" not in served.ask()


def test_files_are_served_merged_and_followed(served: Served) -> None:
    served.put("a", GOOD)
    path = served.put("b", '# TYPE a_metric gauge\na_metric{of="y"} 2\n')
    text = served.ask()
    assert 'a_metric{of="x"} 1.5' in text and 'a_metric{of="y"} 2.0' in text
    assert text.count("# TYPE a_metric gauge") == 1 and "runs_total 7.0" in text
    assert 'calumma_textfile_error{file="a.prom"} 0.0' in text
    path.write_text('# TYPE a_metric gauge\na_metric{of="y"} 31\n')
    assert 'a_metric{of="y"} 31.0' in served.ask()
    path.unlink()
    assert 'of="y"' not in served.ask()


@pytest.mark.parametrize(
    ("junk", "said"),
    [
        ("{", "not in Prometheus' text format"),
        ('a_metric{of="x', "not in Prometheus' text format"),
        ("a_metric one\n", "not in Prometheus' text format"),
        (b"\xff\xfe\x00", "not in Prometheus' text format"),
        ("a_metric 1 1700000000000\n", "a time of its own"),
        ("own_metric 4\n", "own_metric is the node's own"),
        ("# TYPE z_metric gauge\nz_metric 1\nz_metric 2\n", "a series of z_metric is there"),
        ('# TYPE a_metric gauge\na_metric{of="x"} 2\n', "a series of a_metric is there"),
        ("# TYPE a_metric histogram\na_metric_sum 2\n", "a_metric is a gauge in another file"),
        ("x" * (textfiles.LARGEST + 1), "at most 4194304 are read"),
    ],
)
def test_junk_is_left_out_logged_once_and_harms_nobody(
    served: Served, junk: str | bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    served.put("a", GOOD)
    served.put("b", junk)
    with caplog.at_level(logging.WARNING):
        texts = [served.ask(), served.ask()]
    for text in texts:
        assert 'a_metric{of="x"} 1.5' in text and "own_metric 3.0" in text
    if said:
        assert f'calumma_textfile_error{{file="b.prom"}} {1.0}' in texts[0]
        (record,) = caplog.records
        assert said in record.getMessage() and "b.prom is left out" in record.getMessage()


def test_what_is_no_file_is_left_out(served: Served, tmp_path: Path) -> None:
    served.put("a", GOOD)
    os.mkfifo(served.folder / "pipe.prom")
    (served.folder / "folder.prom").mkdir()
    (tmp_path / "secret").write_text("other 1\n")
    (served.folder / "link.prom").symlink_to(tmp_path / "secret")
    text = served.ask()
    assert 'a_metric{of="x"} 1.5' in text and "other" not in text
    for name in ("pipe", "folder", "link"):
        assert f'calumma_textfile_error{{file="{name}.prom"}} 1.0' in text
