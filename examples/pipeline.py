"""Promise: Models are scikit-learn estimators.

Names the breast tumours as benign or malignant from two numbers per row: a scaler, an autoencoder and a logistic regression in a
pipeline, the autoencoder's size chosen by a grid search, the codes as a DataFrame.

    python examples/pipeline.py
"""

from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

import engram

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
train, test, train_y, test_y = train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)

steps = make_pipeline(RobustScaler(), engram.Autoencoder(random_state=0), LogisticRegression())
steps.set_output(transform="pandas")
search = GridSearchCV(steps, {"autoencoder__code_size": [2, 4]}, cv=3).fit(train, train_y)

for parameters, score in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    print(
        f"code size {parameters['autoencoder__code_size']}: {score:.1%} of the training rows named rightly, cross-validated"
    )
print(f"held-out rows named rightly: {search.score(test, test_y):.1%}")
print(search.best_estimator_[:-1].transform(test).head(3).to_string(float_format="{:.2f}".format))
