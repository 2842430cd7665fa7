"""The networks that find digits in a picture: the locator proposes candidates, the verifier looks at each one again.

Begin reading in `network`, `targets` says what the locator should answer to a scene, then `verifier`.
"""
