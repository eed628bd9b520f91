"""Map the top-level folders into one namespace: `checks/` installs as `assay.checks`, and so on.

Everything else about the package is in pyproject.toml; setuptools reads the mapping only from here.
"""

from setuptools import find_packages, setup

FOLDERS = ("assets", "checks", "features", "lineage")

packages = find_packages(include=["assay", "assay.*"])
for folder in FOLDERS:
    packages += [f"assay.{folder}", *(f"assay.{folder}.{name}" for name in find_packages(folder))]

setup(packages=packages, package_dir={"assay": "assay"} | {f"assay.{folder}": folder for folder in FOLDERS})
