"""scikit-learn's MLPClassifier with the same network and the same optimizer.

python sklearn_mlp.py FILE BATCH_SIZE [EPOCHS]
"""

import time
import warnings

from protocol import events, serve
from sklearn.neural_network import MLPClassifier

warnings.filterwarnings("ignore")
x, t, batch_size = events()
model = MLPClassifier(
    [64] * 5,
    solver="sgd",
    alpha=0,
    batch_size=batch_size,
    learning_rate_init=0.01,
    momentum=0,
    nesterovs_momentum=False,
    shuffle=False,
    max_iter=1,
    random_state=0,
)
model.partial_fit(x, t.ravel(), classes=[0, 1])


def epoch() -> float:
    start = time.perf_counter()
    model.partial_fit(x, t.ravel())
    return time.perf_counter() - start


serve(lambda count: [epoch() for _ in range(count)])
