"""Segmentation: networks, data sets, training, evaluation. Importing this alone imports none of them.

``networks.network.build_network``
    RecoNet with any context module, and its rivals.
``data.open_dataset``
    Images and masks, by the data set's name.
``presets.configured``, ``config.TrainConfig``
    How to train: the paper's settings for each data set, and anyone's own over them.
``train.train``, ``train.resume``
    Train, or go on after an interruption, to the same weights.
``run.TrainedRun``
    A run's folder, read back: configuration, logs, evaluation, the trained network.
``evaluate.evaluate``
    mIoU and pixel accuracy of a network on a data set.
"""
