"""The network that finds digits in a picture. `network` builds it, `targets` says what it should answer to a scene.

Begin reading in `network`.
"""
