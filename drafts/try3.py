import sys; sys.path.insert(0,'/tmp/i4')
import torch, lzma, csv, numpy as np; torch.set_num_threads(1)
from nas.search_spaces.nasbench201 import *
from nas.supernets.nasbench201 import NasBench201
sp=build(input_size=32,in_channels=3,num_classes=10,preset=None)
order=[0,1,3,4,2]
rows=list(csv.DictReader(lzma.open('/work/shared/data/nas/nb201_full.csv.xz','rt')))
idx=np.array([[order[int(c)] for c in r['ops']] for r in rows],dtype=np.int16)
c=sp.costs_of(idx)
print(all(int(r['params'])==p for r,p in zip(rows,c['params'])), max(abs(float(r['conv_flops_M'])-m/1e6) for r,m in zip(rows,c['macs'])), sp.size)
archs=sp.architectures(idx[:3]); print(archs[0].genes, rows[0]['arch_str'])
for a in archs:
    n=NasBench201(sp,a); print(sum(p.numel() for p in n.parameters()), sp.cost(a))
print([g.choices for g in sp.genes][0])
