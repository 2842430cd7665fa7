"""The contract of a classifier, the recipes, the networks. Adds Keras.

The steps in order: `base` says what every classifier keeps, `recipes` is the table, `neural_settings` declares how a
network may be trained, `networks` and `neural` are the Keras models, `classical` and `estimators` those of
scikit-learn. Begin reading in `recipes`.
"""
