"""x"""
from pathlib import Path
def write_study_page(table, name, folder, command=""):
    return Path(table)
