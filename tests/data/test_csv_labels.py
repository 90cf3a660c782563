"""The two CSV layouts, and what is refused in them."""

from __future__ import annotations

import pytest

from cars_bench.data.csv_labels import CsvColumns, is_label_csv, parse_columns, read_csv
from cars_bench.errors import LabelsUnusable, UsageError

BOXES_HEADER = "filename,min_x,min_y,max_x,max_y,target,train_or_test,car_names\n"


@pytest.fixture
def csv(tmp_path):
    def write(text: str, encoding: str = "utf-8"):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_the_plain_layout(csv):
    labels = read_csv(csv("img_file,class,subset\n1.jpg,NA,train\nx/2.jpg,B b,test\n"))
    assert labels.table["file"].tolist() == ["1.jpg", "x/2.jpg"]
    assert labels.table["class_name"].tolist() == ["NA", "B b"]
    assert labels.table["split"].tolist() == ["train", "test"]
    assert labels.has_split
    assert labels.table["x1"].isna().all()


@pytest.mark.parametrize("text", ["img_file,class\n1.jpg,A\n", "img_file,class,subset\n1.jpg,A,\n"])
def test_the_subset_may_be_absent_or_empty(csv, text):
    assert not read_csv(csv(text)).has_split


def test_the_layout_with_boxes(csv):
    labels = read_csv(csv(BOXES_HEADER + "1.jpg,1,2,30,40,187,train,Car A\n"))
    assert labels.table.iloc[0].tolist() == ["1.jpg", "Car A", "train", 1, 2, 30, 40]


def test_file_names_of_windows_and_with_spaces_around_are_forgiven(csv):
    assert read_csv(csv("path,class\na\\b.jpg ,A\n")).table["file"].tolist() == ["a/b.jpg"]


def test_header_case_spaces_and_a_byte_order_mark_are_forgiven(csv):
    labels = read_csv(csv("Img_File , Class, subset\n1.jpg,A,Train\n", "utf-8-sig"))
    assert labels.table["split"].tolist() == ["train"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("img_file,class,subset\n", "no rows"),
        (
            "img_file,kind,subset\n1.jpg,A,train\n",
            "plainly the path and the class.*found: img_file, kind, sub",
        ),
        ("a,b\n1,2\n", "plainly the path"),
        (BOXES_HEADER.replace("car_names", "names") + "1.jpg,1,2,3,4,1,train,A\n", "'car_names'"),
        ("img_file,class\n1.jpg,A\n1.jpg,B\n2.jpg,A\n", "two rows or more for 1 images: 1.jpg"),
        ("img_file,class\n1.jpg,\n", "no class for 1 images: 1.jpg"),
        ("img_file,class,subset\n1.jpg,A,trian\n", "unknown split 'trian'"),
        ("img_file,class,subset\n1.jpg,A,train\n2.jpg,A,\n", "1 images and not of 1"),
        ("img_file,class\n../1.jpg,A\n", "outside the image folder"),
        ("img_file,class\n/etc/1.jpg,A\n2.jpg,A\n", "outside the image folder"),
        ("img_file,class\n1.jpg,A,B,C\n", "not a readable CSV"),
        ("img_file,class\n img_file,Class\n1.jpg,A\n", "header again in row 1"),
        ("img_file,class\n1.jpg,A\nimg_file,class\n2.jpg,A\n", "header again in row 2"),
        (BOXES_HEADER + BOXES_HEADER + "1.jpg,1,2,3,4,1,,A\n", "header again in row 1"),
        ("img_file,class,Class\n1.jpg,A,B\n", "two columns 'class'"),
        ("img_file,class\n1.jpg\n", "no class for 1 images"),
        (BOXES_HEADER + "1.jpg,a,2,3,4,1,train,A\n", "not numbers for 1 images: 1.jpg"),
        (BOXES_HEADER + "1.jpg,1,2,3,4,-1,train,A\n", "class out of range in 1 rows"),
        (BOXES_HEADER + "1.jpg,1,2,3,4,x,train,A\n", "class out of range in 1 rows"),
        (BOXES_HEADER + "1.jpg,1,2,3,4,1,,A\n2.jpg,1,2,3,4,1,,B\n", "target '1' more than one"),
        (BOXES_HEADER + "1.jpg,1,2,3,4,1,,A\n2.jpg,1,2,3,4,2,,A\n", "car_names 'A' more than one"),
    ],
)
def test_what_is_wrong_is_named(csv, text, message):
    with pytest.raises(LabelsUnusable, match=message):
        read_csv(csv(text))


@pytest.mark.parametrize(
    "header",
    ["path,label", "File,Class", "filename,class_name,split", "Image,Label,Subset",
     "path,filename,class_name,label"],
)  # fmt: skip
def test_obvious_headers_are_known(csv, header):
    row = {"path": "a/1.jpg", "split": "train", "subset": "train", "class_name": "A", "label": "A"}
    row["class"] = "A"
    cells = [row.get(name.lower(), "a/1.jpg") for name in header.split(",")]
    path = csv(f"{header}\n{','.join(cells)}\n")
    assert is_label_csv(path)
    table = read_csv(path).table
    assert table[["file", "class_name"]].to_numpy().tolist() == [["a/1.jpg", "A"]]
    known = {"split", "subset"} & set(header.lower().split(","))
    assert table["split"].tolist() == ["train" if known else ""]


def test_any_columns_can_be_named(csv):
    path = csv("id,what,part,class\n1.jpg,A,train,x\n2.jpg,B,test,x\n")
    three = read_csv(path, CsvColumns(parse_columns("ID, what,part"))).table
    assert three["class_name"].tolist() == ["A", "B"]
    assert three["split"].tolist() == ["train", "test"]
    assert not read_csv(path, CsvColumns(("id", "what"))).has_split
    with pytest.raises(LabelsUnusable, match=r"no column 'kind'.*found: id, what, part, class"):
        read_csv(path, CsvColumns(("id", "kind")))


@pytest.mark.parametrize("text", ["path", "a,b,c,d", "a,", "a,a"])
def test_columns_are_two_or_three_names(text):
    with pytest.raises(UsageError, match="--columns"):
        parse_columns(text)


def test_a_group_column_gives_each_class_its_value(csv):
    text = "path,label,Make\n1.jpg,TT,Audi\n2.jpg,TT,Audi\n3.jpg,M3,BMW\n4.jpg,Kit,\n"
    labels = read_csv(csv(text), CsvColumns(groups=("Make",)))
    assert labels.groups == {"Make": {"TT": "Audi", "M3": "BMW"}}
    with pytest.raises(LabelsUnusable, match="class 'TT' more than one make: Audi and BMW"):
        read_csv(csv(text.replace("2.jpg,TT,Audi", "2.jpg,TT,BMW")), CsvColumns(groups=("make",)))
    with pytest.raises(LabelsUnusable, match="no column 'year'"):
        read_csv(csv(text), CsvColumns(groups=("year",)))


def test_bytes_that_are_no_text_are_refused(csv):
    with pytest.raises(LabelsUnusable, match="not a readable CSV"):
        read_csv(csv("img_file,class\n1.jpg,Citroën\n", "latin-1"))


def test_a_label_csv_is_known_by_its_header(csv):
    assert is_label_csv(csv("img_file,class\n"))
    assert not is_label_csv(csv("a,b\n"))
