"""MNIST's files, honest splits, augmentation, scenes, pictures of what is no digit. Adds scikit-learn and OpenCV.

The steps in order: `sources` and `download` fetch and verify, `dataset` splits, `augmentation`, `handwriting_styles`
and `corruptions` change training digits, `letters` and `outliers` draw what is no digit, `mnist_c` spoils test digits,
to measure by; `writers` opens other people's digits, and `scenes` draws pages of digits with `drawing`. Begin reading
in `dataset`.
"""
