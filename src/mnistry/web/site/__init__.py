"""The page as a folder of static files that reads in the browser: `write_site` in `write` is the whole.

`constants` tells the scripts of `static/reading` what the Python modules of the same names reckon with, and
`onnxruntime_web` finds what runs the ONNX files there. Begin reading in `write`.
"""
