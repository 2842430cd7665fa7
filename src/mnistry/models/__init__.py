"""The contract of a classifier, the recipes, the networks. Adds Keras.

The steps in order: `base` says what every classifier keeps, `recipes` is the table, `neural_settings` declares how a
network may be trained (what a `setting` is stands there), `networks` and `neural` are the Keras models, with `backend`,
`batches` and `muon` to train them and `ensemble` to average them, `classical` and `estimators` are those of
scikit-learn, `locator` the networks that find digits. Begin reading in `recipes`.
"""
