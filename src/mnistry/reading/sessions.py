"""ONNX Runtime, started as a reader beside other work wants it."""

from typing import Any


def session(model: bytes, threads: int) -> Any:
    """A session of an ONNX file with so many threads, 0: as many as there are cores."""
    import onnxruntime  # 0.1 s, so not before it is needed

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other processes work as well
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
