from typing import ClassVar

from modules.test_pspnet import SingleFormContract

from ctxbench_modules.agent_attention import AgentAttention


class TestAgentAttention(SingleFormContract):
    cls = AgentAttention
    sized = True
    bad_options = ({"size": (0, 3)}, {"heads": 3}, {"agents": 8}, {"agents": 0})
    recordings: ClassVar = {"agent_attention": {"heads": 4, "agents": 9}}
