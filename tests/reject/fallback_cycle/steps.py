def left(x):
    return x


def right(x):
    return x


def both(x):
    return {"score": x, "label": x}
