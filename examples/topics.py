"""Promise: Rows do not see each other.

Makes documents about four things, finds these topics without labels, and asks again for a few documents alone: their
topics are the same to the bit. Beside it: how well the main topics agree with what the documents were made about.

    python examples/topics.py
"""

import numpy as np

import engram
from engram.metrics import purity

random = np.random.default_rng(0)
subjects = {
    "space": "orbit launch rocket satellite moon shuttle crew engine",
    "kitchen": "oven butter flour onion garlic salt pepper recipe",
    "sport": "goal season coach player league match score referee",
    "money": "stock market bank price share trade profit tax",
}
about = random.choice(list(subjects), 200)
texts = [
    " ".join([*random.choice(subjects[one].split(), 10), *random.choice(["the", "and", "of"], 4)]) for one in about
]

model = engram.TopicModel(n_topics=4, random_state=0).fit(texts)
for topic in model.top_words(6):
    print(" ".join(topic))
shares = model.transform(texts)
same = (model.transform(texts[17:25]) == shares[17:25]).all()
print(f"topics of eight documents alone: {'the same bits' if same else 'DIFFERENT'}")
print(f"purity {purity(shares.argmax(1), about):.2f}, coherence {model.coherence():.2f}")
