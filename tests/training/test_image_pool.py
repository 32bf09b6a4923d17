from __future__ import annotations

import torch

from synthct.training.image_pool import ImagePool


def images(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def test_first_images_are_handed_out_as_they_are():
    pool = ImagePool(50, seed=0)
    for i in range(50):
        assert torch.equal(pool.exchange(images(i)), images(i))
    assert pool.count == 50


def test_later_about_half_are_earlier_images_and_the_pool_stays_bounded():
    pool = ImagePool(50, seed=0)
    n, earlier = 2000, 0
    for i in range(n):
        handed_out = pool.exchange(images(i))
        assert pool.count <= 50
        if i >= 50:
            earlier += handed_out[0, 0, 0, 0].item() != i
    assert abs(earlier / (n - 50) - 0.5) < 0.04


def test_an_image_that_was_swapped_in_comes_back_unchanged():
    pool = ImagePool(2, seed=1)
    seen = set()
    for i in range(40):
        image = images(i)
        seen.add(pool.exchange(image)[0, 0, 0, 0].item())
        image.fill_(-1)  # what the caller does with its tensor does not reach the pool
    assert -1 not in seen
    assert len(seen) > 20


def test_pool_of_size_zero_hands_everything_through_without_gradient():
    image = images(1.0).requires_grad_()
    handed_out = ImagePool(0, seed=0).exchange(image)
    assert torch.equal(handed_out, image)
    assert not handed_out.requires_grad


def test_state_round_trip_goes_on_identically():
    pool = ImagePool(3, seed=4)
    for i in range(10):
        pool.exchange(images(i, i + 100))
    other = ImagePool(3, seed=99)
    other.load_state_dict(pool.state_dict())
    for i in range(20, 40):
        assert torch.equal(pool.exchange(images(i)), other.exchange(images(i)))


def test_a_smaller_pool_takes_up_a_larger_ones_state():
    pool = ImagePool(5, seed=0)
    pool.exchange(images(*range(5)))
    smaller = ImagePool(2, seed=0)
    smaller.load_state_dict(pool.state_dict())
    for i in range(20):
        smaller.exchange(images(i))
    assert smaller.count == 2


def test_choices_may_be_drawn_beforehand():
    first, second = ImagePool(3, seed=4), ImagePool(3, seed=4)
    for i in range(0, 40, 2):
        second.draw(2)
        assert torch.equal(first.exchange(images(i, i + 1)), second.exchange(images(i, i + 1)))


def test_the_memory_of_the_images_stays_where_it_is():
    """A recorded CUDA graph goes on writing to it."""
    pool = ImagePool(3, seed=4)
    pool.exchange(images(1))
    address = pool.images.data_ptr()
    for i in range(10):
        pool.exchange(images(i))
    pool.load_state_dict(pool.state_dict())
    assert pool.images.data_ptr() == address
