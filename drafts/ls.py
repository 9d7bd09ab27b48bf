import sys; sys.path.insert(0,'/tmp/i4')
import lzma, csv, numpy as np, time
from nas.search_spaces.nasbench201 import *
from nas.search_spaces import Objective
from nas.searchers import Searcher, Trial, Random, Evolution
from nas.searchers.local_search import LocalSearch
sp=build(input_size=32,in_channels=3,num_classes=10,preset=None)
order=[0,1,3,4,2]
full={r['idx']:r['ops'] for r in csv.DictReader(lzma.open('/work/shared/data/nas/nb201_full.csv.xz','rt'))}
acc={}
for r in csv.DictReader(lzma.open('/work/shared/data/nas/nb201_zc_proxies_9445.csv.xz','rt')):
    acc[tuple(order[int(c)] for c in full[r['idx']])]=float(r['c10_val_acc_200ep'])
keys=list(acc)
print(len(acc), max(acc.values()))
def run(strategy,seed,N=200):
    s=Searcher(sp,[Objective.parse('accuracy')],seed=seed,strategy=strategy); best=[];b=-1;num=0;batch=0
    while num<N:
        (a,)=s.ask(1); row=tuple(int(i) for i in sp.indices([a])[0]); v=acc.get(row)
        if v is None: s.tell([Trial(num,a,{},batch)]); batch+=1; continue
        num+=1; b=max(b,v); best.append(b); s.tell([Trial(num,a,{'accuracy':v},batch)]); batch+=1
    return best
for name,st in (('random',Random()),('RE 10/3',Evolution(10,3)),('RE 30/10',Evolution(30,10)),('local',LocalSearch(10))):
    t=time.time(); R=np.array([run(st,s) for s in range(40)]); print(name,[(k,round(R[:,k-1].mean(),2)) for k in (20,50,100,200)],round(time.time()-t,1),flush=True)
