"""The page and the service: `create_app(reader, settings)` in `app` is the whole. Sees `reading` only.

A request passes `guard`, is read or recognised by `engine` (tensors through `tensors` and `batching`), and is answered
by a route of `app`, `protocol` or `teaching`; `server` runs it all. The page is in `static`. Begin reading in `app`.
"""
