from .numbers import HALF


def half(number):
    return number // HALF
