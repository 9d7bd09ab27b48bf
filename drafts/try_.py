import torch
from torch import nn
import torch.nn.functional as F
class Net(nn.Module):
    def __init__(s):
        super().__init__()
        s.a=nn.Conv2d(3,8,3,2,1,bias=False); s.n=nn.BatchNorm2d(8); s.d=nn.Conv2d(8,8,3,padding=1,groups=8); s.n2=nn.BatchNorm2d(8); s.p=nn.Conv2d(8,16,1,groups=2); s.l=nn.Linear(16,5); s.drop=nn.Dropout(.5)
    def forward(s,x): 
        x=F.relu(s.n(s.a(x))); x=F.relu(s.n2(s.d(x))); x=F.relu(s.p(x)); return s.l(s.drop(x.mean((2,3))))
def loop(m,x,y,mha=False):
    tot={}
    m.train(); 
    for mod in m.modules():
        if isinstance(mod,nn.Dropout): mod.eval()
    ws=[mm.weight for mm in m.modules() if isinstance(mm,(nn.Conv2d,nn.Linear))]+([mm.in_proj_weight for mm in m.modules() if isinstance(mm,nn.MultiheadAttention)] if mha else [])
    for i in range(len(x)):
        g=torch.autograd.grad(F.cross_entropy(m(x[i:i+1]),y[i:i+1]),ws,allow_unused=True)
        for w,gg in zip(ws,g):
            if gg is not None: tot[w]=tot.get(w,0)+gg.sign()
    return float(sum(t.abs().sum() for t in tot.values()))
tr=nn.TransformerEncoder(nn.TransformerEncoderLayer(32,4,64,dropout=0.,batch_first=True),2,enable_nested_tensor=False)
class T(nn.Module):
    def __init__(s): super().__init__(); s.t=tr; s.h=nn.Linear(32,5)
    def forward(s,x): return s.h(s.t(x).mean(1))
