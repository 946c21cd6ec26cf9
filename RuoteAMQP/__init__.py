"""What travels between a workflow engine and its participants; usable without the rest of Imager."""

from RuoteAMQP.workitem import DictAttrProxy, FlowExpressionId, Workitem

__all__ = ["DictAttrProxy", "FlowExpressionId", "Workitem"]
