"""Classes as a user writes them: this package is copied to a folder outside the repository and used from there."""

from my_package.data import MyData
from my_package.head import MyHead
from my_package.method import MyMethod
from my_package.metric import MyMetric
from my_package.target import MyTarget
from my_package.teacher import MyTeacher

__all__ = ["MyData", "MyHead", "MyMethod", "MyMetric", "MyTarget", "MyTeacher"]
