"""One file a step, applied in order. A step that was released is never changed."""
