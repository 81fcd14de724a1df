"""Upstream's model servers for InferenceGraphs: one that always succeeds, one that never does.

``python intentional.py success|error --model_name NAME ...`` stands for the images
``kserve/success-200-isvc`` and ``kserve/error-404-isvc`` of KServe's own end-to-end tests.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import kserve
from fastapi import HTTPException
from kserve import model_server


class Success(kserve.Model):  # type: ignore[misc]
    def predict(self, *_: Any, **__: Any) -> dict[str, Any]:
        return {"predictions": [{"message": "SUCCESS"}]}


class Error(kserve.Model):  # type: ignore[misc]
    def predict(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise HTTPException(status_code=404, detail="Intentional 404 code")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("outcome", choices=["success", "error"])
    options = parser.parse_args()
    model: Any = {"success": Success, "error": Error}[options.outcome](options.model_name)
    model.ready = True
    kserve.ModelServer(workers=1).start([model])
