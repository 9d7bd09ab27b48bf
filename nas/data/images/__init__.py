"""Images with classes: readers of files, fixed splits, augmentation."""
