"""Muon: momentum, orthogonalised by Newton-Schulz iterations (Jordan et al. 2024)."""

import torch


class Muon(torch.optim.Optimizer):
    def __init__(self, matrices, lr, momentum=0.95, decay=0.05):
        super().__init__(matrices, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}  # matrices of one shape go through the iterations together
            for p in group["params"]:
                by_shape.setdefault(p.shape, []).append(p)
            for (rows, columns), same in by_shape.items():
                updates = []
                for p in same:
                    m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    m.lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(m, group["momentum"]))
                for p, update in zip(same, orthogonal(torch.stack(updates))):
                    p.mul_(1 - group["lr"] * group["decay"])
                    p.add_(update, alpha=-group["lr"] * max(1, rows / columns) ** 0.5)


def orthogonal(x):
    """Each matrix of x [count, rows, columns] with its singular values brought near 1."""
    if x.shape[1] > x.shape[2]:
        return orthogonal(x.mT).mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x
