"""Picture -> `Reading`, with the bundled models and their cards. Adds ONNX Runtime.

The steps in order: `views` shows a picture at several sizes, `locate` finds candidates in them, `verifier` looks at
each again, `recognizer` reads its own ink, `learned` weighs what they say, `layout` puts it in rows; `reader` is the
door to them. `batch` reads many pictures with `workers`, `saliency` says which ink an answer rests on, `visualization`
draws what was read. Begin reading in `reader`.
"""
