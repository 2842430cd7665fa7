"""Picture -> `Reading`, with the bundled model and its card. Adds ONNX Runtime.

The steps in order: `detection` finds the digits of a picture, `reader` recognizes them and chooses among ways to part
what touches, `batch` reads many pictures with `workers`, `saliency` says which ink an answer rests on, `visualization`
draws what was read. Begin reading in `reader`.
"""
