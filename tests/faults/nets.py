"""Small networks as people bring them."""

import torch
from torch import nn
from torch.nn import functional as F

SIZE = 32


class Net(nn.Module):
    """Two convolutions, the mean, a linear layer."""

    def __init__(self, classes=3, channels=3):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.f = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(8, classes)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(parameter[0].numel(), 4) ** 0.5)

    def forward(self, x):
        return self.fc(self.f(x).mean((2, 3)))


class Written(Net):
    """Normalizes its input in place."""

    def forward(self, x):
        return super().forward(x.sub_(0.3).div_(0.2))


class Unwritten(Net):
    """The same function of an input that stays as it is."""

    def forward(self, x):
        return super().forward((x - 0.3) / 0.2)


class Rectified(Net):
    """Writes by a function of torch."""

    def forward(self, x):
        return super().forward(torch.relu_(x))


class Blanked(Net):
    """Writes into a part."""

    def forward(self, x):
        x[:, :, :4] = 0
        return super().forward(x)


class Silent(Net):
    """Writes round autograd, which counts no version."""

    def forward(self, x):
        x.data.mul_(0.5)
        return super().forward(x)


class BatchNormed(Net):
    """Normalizes by the statistics of the batch."""

    def __init__(self):
        super().__init__()
        self.f.insert(1, nn.BatchNorm2d(8, track_running_stats=False))


class Centered(Net):
    """Subtracts the mean of the batch, in no module."""

    def forward(self, x):
        h = self.f(x).mean((2, 3))
        return self.fc(h - 0.5 * h.mean(0, keepdim=True))


class Dropping(Net):
    """Dropout that evaluation mode does not switch off."""

    def forward(self, x):
        return self.fc(F.dropout(self.f(x), 0.5).mean((2, 3)))


class Noisy(Net):
    """Noise on the input."""

    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x))


class Softmax(Net):
    """Ends in a softmax."""

    def forward(self, x):
        return (20 * super().forward(x)).softmax(-1)


class Sigmoid(Net):
    """Ends in a sigmoid for each class."""

    def forward(self, x):
        return (20 * super().forward(x)).sigmoid()


class Decoding(Net):
    """A decoder beside the path."""

    def __init__(self):
        super().__init__()
        self.decoder = nn.Sequential(nn.ConvTranspose2d(8, 1, 2, 2), nn.Sigmoid())

    def forward(self, x):
        h = self.f(x)
        logits = self.fc(h.mean((2, 3)))
        self.mask = self.decoder(h)
        return logits


class Squeezed(Net):
    """Loses the axis of a batch of one."""

    def forward(self, x):
        return super().forward(x).squeeze()


class Named(Net):
    """A dictionary of outputs."""

    def forward(self, x):
        return {"logits": super().forward(x), "aux": None}


class Transformer(nn.Module):
    """Patches of 8 pixels, and CLS; `order` says how the tokens lie: rows, columns, backwards, or CLS last."""

    def __init__(self, order="rows", norm_first=True, places=16):
        super().__init__()
        torch.manual_seed(0)
        self.order = order
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.cls = nn.Parameter(torch.randn(1, 1, 16))
        self.position = nn.Parameter(torch.randn(1, places + 1, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        tokens = self.patches(x)
        if self.order == "columns":
            tokens = tokens.transpose(2, 3)
        tokens = tokens.flatten(2).transpose(1, 2)
        if self.order == "backwards":
            tokens = tokens.flip(1)
        cls = self.cls.expand(len(x), -1, -1)
        tokens = torch.cat([tokens, cls] if self.order == "cls_last" else [cls, tokens], 1)
        tokens = self.norm(self.encoder(tokens + self.position))
        return self.head(tokens[:, -1 if self.order == "cls_last" else 0])


def images(count=2, size=SIZE):
    """Normal noise."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
