"""MNIST's files, honest splits, augmentation, and pictures of what is no digit. Adds scikit-learn and OpenCV.

The steps in order: `sources` and `download` fetch and verify, `dataset` splits, `augmentation`, `handwriting_styles`
and `corruptions` change training digits, `letters` and `outliers` draw what is no digit, and `mnist_c` spoils test
digits, to measure by. Begin reading in `dataset`.
"""
